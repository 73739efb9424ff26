#include "cli/session.h"
int cmd_opt(const args *a)
{
    (void)a;
    return 0;
}
