#include "cli/session.h"
int cmd_generate(const args *a)
{
    (void)a;
    return 0;
}
