/* tests/tiny_spm.h - a SentencePiece model of a few hundred pieces, written at test time, so that no test needs a model file.
 *
 * BPE with byte fallback, dummy prefix and identity normalisation, as Mistral's. Ids: 0 <unk>, 1 <s>, 2 </s>, 3 [INST] ... 9
 * [/TOOL_RESULTS] (control), 10 <|im_start|>, 11 <|im_end|> (control; only if asked for, else two unused names), 12 [USER]
 * (user-defined), 13 + b for byte b, then 269 "_" (the space mark), 270..295 a..z, 296 _a, 297 ab, 298 _ab, 299 he, 300 he followed by l.
 */
#ifndef TESTS_TINY_SPM_H
#define TESTS_TINY_SPM_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TINY_SPACE "\xe2\x96\x81"
enum {
    TINY_INST = 3,
    TINY_INST_END,
    TINY_CALLS,
    TINY_TOOLS,
    TINY_TOOLS_END,
    TINY_RESULTS,
    TINY_RESULTS_END,
    TINY_IM_START,
    TINY_IM_END,
    TINY_USER,
    TINY_BYTE,
    TINY_MARK = TINY_BYTE + 256,
    TINY_A,
    TINY_MARK_A = TINY_A + 26,
    TINY_AB,
    TINY_MARK_AB,
    TINY_HE,
    TINY_HEL,
    TINY_VOCAB
};

/* Protocol buffer: a varint field and a field of bytes (sizes below 128 only). */
static inline size_t tiny_varint(char *to, int field, unsigned value)
{
    size_t n = 0;
    for (unsigned tag = (unsigned)field << 3; tag || n == 0; tag >>= 7)
        to[n++] = (char)((tag & 127) | (tag > 127 ? 128 : 0));
    to[n++] = (char)value;
    return n;
}

static inline void tiny_bytes(FILE *f, int field, const char *at, size_t n)
{
    fputc(field << 3 | 2, f);
    fputc((int)n, f);
    fwrite(at, 1, n, f);
}

/* type: 1 normal, 2 unknown, 3 control, 4 user-defined, 6 byte. */
static inline void tiny_piece(FILE *f, const char *text, float score, unsigned type)
{
    char piece[128];
    size_t n = strlen(text), at = 0;
    piece[at++] = 1 << 3 | 2;
    piece[at++] = (char)n;
    memcpy(piece + at, text, n);
    at += n;
    piece[at++] = 2 << 3 | 5;
    memcpy(piece + at, &score, 4);
    at += 4;
    at += tiny_varint(piece + at, 3, type);
    tiny_bytes(f, 1, piece, at);
}

static inline void tiny_spm_write(const char *path, bool chatml)
{
    static const char *const control[] = {
        "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"};
    static const char *const merged[] = {TINY_SPACE "a", "ab", TINY_SPACE "ab", "he", "hel"};
    FILE *f = fopen(path, "wb");
    if (!f) {
        perror(path);
        exit(1);
    }
    tiny_piece(f, "<unk>", 0, 2);
    for (int i = 0; i < 9; i++)
        tiny_piece(f, control[i], 0, 3);
    tiny_piece(f, chatml ? "<|im_start|>" : "[unused_0]", 0, 3);
    tiny_piece(f, chatml ? "<|im_end|>" : "[unused_1]", 0, 3);
    tiny_piece(f, "[USER]", 0, 4);
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        tiny_piece(f, name, 0, 6);
    }
    tiny_piece(f, TINY_SPACE, -100, 1);
    for (int c = 'a'; c <= 'z'; c++)
        tiny_piece(f, (char[2]){(char)c, '\0'}, -100, 1);
    for (int i = 0; i < 5; i++)
        tiny_piece(f, merged[i], (float)-i, 1);
    char spec[64]; /* trainer_spec: model_type BPE, byte_fallback */
    size_t n = tiny_varint(spec, 3, 2);
    n += tiny_varint(spec + n, 35, 1);
    tiny_bytes(f, 2, spec, n);
    memcpy(spec, "\x0a\x08identity", 10); /* normalizer_spec: its name, dummy prefix, extra spaces kept, spaces escaped */
    n = 10;
    n += tiny_varint(spec + n, 3, 1);
    n += tiny_varint(spec + n, 4, 0);
    n += tiny_varint(spec + n, 5, 1);
    tiny_bytes(f, 3, spec, n);
    if (fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}
#endif
