/* SentencePiece's tokenizer.model: a protobuf ModelProto (sentencepiece_model.proto), of which
 * three fields count: 1 pieces { 1 text, 2 score (float), 3 type }    2 trainer_spec { 3
 * model_type, 40..42 unk, bos, eos } 3 normalizer_spec { 3 add_dummy_prefix } */
#include "runtime/io/tokenizer_impl.h"

#include <string.h>

typedef struct wire {
    const unsigned char *at, *end;
    bool bad;
} wire;

typedef struct field {
    uint64_t number, value; /* value: of a number */
    wire inside;            /* of bytes */
} field;

static uint64_t varint(wire *w)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (w->at == w->end) {
            break;
        }
        unsigned char b = *w->at++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            return v;
        }
    }
    w->bad = true;
    return 0;
}

static bool next_field(wire *w, field *f)
{
    if (w->bad || w->at == w->end) {
        return false;
    }
    uint64_t key = varint(w), kind = key & 7;
    *f = (field){.number = key >> 3};
    uint64_t n = kind == 2 ? varint(w) : kind == 1 ? 8 : kind == 5 ? 4 : 0;
    if (kind == 0) {
        f->value = varint(w);
    } else if (kind == 1 || kind == 2 || kind == 5) {
        w->bad |= n > (uint64_t)(w->end - w->at);
        if (!w->bad) {
            f->inside = (wire){w->at, w->at + n, false};
            w->at += n;
        }
    } else {
        w->bad = true;
    }
    return !w->bad;
}

static aigc_status read_piece(tokenizer *t, uint32_t id, wire w, aigc_error *err)
{
    field f;
    wire text = {0};
    float score = 0;
    uint64_t type = TOKEN_NORMAL;
    while (next_field(&w, &f)) {
        if (f.number == 1) {
            text = f.inside;
        } else if (f.number == 2 && f.inside.end - f.inside.at == 4) {
            memcpy(&score, f.inside.at, 4);
        } else if (f.number == 3) {
            type = f.value;
        }
    }
    if (w.bad || !text.at) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "piece %u of the SentencePiece model is damaged",
                         id);
    }
    if (type == TOKEN_UNKNOWN && t->unknown < 0) {
        t->unknown = (int32_t)id;
    }
    return tokenizer_set(t, id, (const char *)text.at, (size_t)(text.end - text.at), score,
                         type >= 1 && type <= 6 ? (uint8_t)type : TOKEN_NORMAL, err);
}

aigc_status tokenizer_read_model(tokenizer *t, const unsigned char *bytes, size_t size,
                                 aigc_error *err)
{
    wire w = {bytes, bytes + size, false};
    field f, g;
    uint64_t n = 0, type = 1; /* 1 unigram, 2 BPE */
    t->kind = TOKENIZER_PIECES;
    t->add_bos = t->add_space = true;
    while (next_field(&w, &f)) {
        n += f.number == 1;
    }
    if (w.bad || n == 0) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "this is not a SentencePiece model");
    }
    aigc_status s = n <= TOKENIZER_MOST_TOKENS ? tokenizer_reserve(t, (uint32_t)n, err)
                                               : aigc_fail(err, AIGC_ERR_FORMAT, "too many pieces");
    w = (wire){bytes, bytes + size, false};
    t->bos = 1;
    t->eos = 2;
    for (uint32_t id = 0; s == AIGC_OK && next_field(&w, &f);) {
        if (f.number == 1) {
            s = read_piece(t, id++, f.inside, err);
        }
        while ((f.number == 2 || f.number == 3) && next_field(&f.inside, &g)) {
            if (f.number == 2 && g.number == 3) {
                type = g.value;
            } else if (f.number == 2 && (g.number == 41 || g.number == 42)) {
                *(g.number == 41 ? &t->bos : &t->eos) = g.value < n ? (int32_t)g.value : -1;
            } else if (f.number == 3 && g.number == 3) {
                t->add_space = g.value != 0;
            }
        }
    }
    if (s == AIGC_OK && type != 2) {
        return aigc_fail(
            err, AIGC_ERR_UNSUPPORTED,
            "this SentencePiece model is no BPE model (type %llu); only BPE is known here",
            (unsigned long long)type);
    }
    return s;
}
