#include "cli/session.h"
int cmd_inspect(const args *a)
{
    (void)a;
    return 0;
}
