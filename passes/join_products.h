/* What join_products makes of kernels that follow each other. */
#ifndef AIGC_PASSES_JOIN_PRODUCTS_H
#define AIGC_PASSES_JOIN_PRODUCTS_H

enum { JOIN_MOST = 4 }; /* products that are one kernel */

#endif
