#include "frontend/unicode.h"

#include <stddef.h>

uint32_t unicode_length(const char *text)
{
    unsigned char c = (unsigned char)*text;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static uint32_t code_point(const char *text)
{
    uint32_t n = unicode_length(text);
    uint32_t c = (unsigned char)*text;
    c = n == 1 ? c : c & (0xffu >> (n + 1));
    for (uint32_t i = 1; i < n; i++) {
        c = c << 6 | ((unsigned char)text[i] & 0x3f);
    }
    return c;
}

uint32_t unicode_valid_length(const char *text, uint32_t size)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t i = 0;
    while (i < size) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        uint32_t n = unicode_length(text + i);
        if (c < 0xc2 || c > 0xf4 || n > size - i) {
            return i;
        }
        for (uint32_t k = 1; k < n; k++) {
            if (((unsigned char)text[i + k] & 0xc0) != 0x80) {
                return i;
            }
        }
        uint32_t point = code_point(text + i);
        if (point < least[n] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
            return i;
        }
        i += n;
    }
    return size;
}

/* Unicode's general categories in large strokes: everything past ASCII but these. */
static bool in_name(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } others[] = {
        {0x80,    0xa9    }, /* controls, Latin-1 punctuation */
        {0xab,    0xb4    },
        {0xb6,    0xb9    },
        {0xbb,    0xbf    },
        {0xd7,    0xd7    }, /* times */
        {0xf7,    0xf7    }, /* division */
        {0x2000,  0x206f  }, /* general punctuation, spaces */
        {0x20a0,  0x20cf  }, /* currency */
        {0x2190,  0x2bff  }, /* arrows, operators, technical, boxes, pictures */
        {0x2e00,  0x2e7f  },
        {0x3000,  0x3004  },
        {0x3008,  0x3020  },
        {0xd800,  0xf8ff  }, /* private use */
        {0xfe00,  0xfe6f  },
        {0xfeff,  0xff0f  },
        {0xff1a,  0xff20  },
        {0xff3b,  0xff40  },
        {0xff5b,  0xff65  },
        {0xffe0,  0xffff  },
        {0x1f000, 0x1faff }, /* pictures */
        {0xe0000, 0x10ffff},
    };
    for (uint32_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (c >= others[i].first && c <= others[i].last) {
            return false;
        }
    }
    return true;
}

uint32_t unicode_name_length(const char *text, uint32_t size)
{
    uint32_t i = 0;
    while (i < size) {
        uint32_t n = unicode_length(text + i);
        if (n > 1 && !in_name(code_point(text + i))) {
            break;
        }
        i += n;
    }
    return i;
}

const char *unicode_plain(const char *text)
{
    static const struct {
        uint32_t point;
        const char *plain;
    } table[] = {
        {0xa0,   "an ordinary space"},
        {0x2009, "an ordinary space"},
        {0x202f, "an ordinary space"},
        {0x3000, "an ordinary space"},
        {0xd7,   "'*'"              },
        {0xb7,   "'*'"              },
        {0x22c5, "'*'"              },
        {0xf7,   "'/'"              },
        {0xb2,   "'^2'"             },
        {0xb3,   "'^3'"             },
        {0x2010, "'-'"              },
        {0x2011, "'-'"              },
        {0x2012, "'-'"              },
        {0x2013, "'-'"              },
        {0x2014, "'-'"              },
        {0x2212, "'-'"              },
        {0x2018, "'\"'"             },
        {0x2019, "'\"'"             },
        {0x201c, "'\"'"             },
        {0x201d, "'\"'"             },
        {0x2026, "'...'"            },
        {0x2190, "'='"              },
        {0x2192, "'->'"             },
        {0x2211, "sum{...}"         },
        {0x221a, "sqrt(...)"        },
        {0x221e, "inf"              },
        {0x2260, "'!='"             },
        {0x2264, "'<='"             },
        {0x2265, "'>='"             },
        {0xff08, "'('"              },
        {0xff09, "')'"              },
        {0xff0c, "','"              },
        {0xff1a, "':'"              },
    };
    uint32_t c = code_point(text);
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].point == c) {
            return table[i].plain;
        }
    }
    return NULL;
}
