#include "runtime/status.h"

#include <stdarg.h>
#include <stdio.h>

aigc_status aigc_fail(aigc_error *err, aigc_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
