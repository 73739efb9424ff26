#include "cli/session.h"
int cmd_build(const args *a)
{
    (void)a;
    return 0;
}
