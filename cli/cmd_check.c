#include "cli/session.h"
int cmd_check(const args *a)
{
    (void)a;
    return 0;
}
