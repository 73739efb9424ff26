#include "ir/module.h"

#include <string.h>

const ir_param *ir_module_param(const ir_module *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_params; i++) {
        if (m->params[i].name == name) {
            return &m->params[i];
        }
    }
    return NULL;
}

const ir_state *ir_module_state(const ir_module *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_states; i++) {
        if (m->states[i].name == name) {
            return &m->states[i];
        }
    }
    return NULL;
}

ir_entry *ir_module_entry(const ir_module *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (strcmp(m->entries[i].name, name) == 0) {
            return &m->entries[i];
        }
    }
    return NULL;
}
