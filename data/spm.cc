/* data/spm.cc - see spm.h. */
#include "data/spm.h"
#include <sentencepiece_processor.h>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using sentencepiece::SentencePieceProcessor;

struct spm {
    SentencePieceProcessor whole; /* the model as it is */
    SentencePieceProcessor more;  /* the same without the dummy prefix: for text that goes on */
};

/* The model is a protocol buffer, and concatenated messages merge, the last value of a field counting. These four bytes say
 * normalizer_spec (field 3, 2 bytes long) { add_dummy_prefix (field 3) = false }. */
static const std::string NO_DUMMY_PREFIX("\x1a\x02\x18\x00", 4);

struct spm *spm_open(const char *model, size_t n, struct err *why)
{
    spm *s = new spm;
    const std::string bytes(model, n);
    auto status = s->whole.LoadFromSerializedProto(bytes);
    if (status.ok())
        status = s->more.LoadFromSerializedProto(bytes + NO_DUMMY_PREFIX);
    if (status.ok())
        return s;
    err_set(why, "%s", status.ToString().c_str());
    delete s;
    return nullptr;
}

void spm_close(struct spm *s)
{
    delete s;
}

int32_t spm_size(const struct spm *s)
{
    return s->whole.GetPieceSize();
}

int32_t spm_bos(const struct spm *s)
{
    return s->whole.bos_id();
}

int32_t spm_eos(const struct spm *s)
{
    return s->whole.eos_id();
}

int32_t spm_find(const struct spm *s, const char *piece)
{
    /* The library answers with the unknown piece for a name that it does not know. */
    int id = s->whole.PieceToId(piece);
    return id >= 0 && s->whole.IdToPiece(id) == piece ? id : -1;
}

const char *spm_piece(const struct spm *s, int32_t id)
{
    return s->whole.IdToPiece(id).c_str();
}

bool spm_is_control(const struct spm *s, int32_t id)
{
    return s->whole.IsControl(id);
}

bool spm_is_byte(const struct spm *s, int32_t id)
{
    return s->whole.IsByte(id);
}

void spm_encode(const struct spm *s, bool start, const char *text, size_t n, struct ids *out)
{
    std::vector<int> ids;
    auto status = (start ? s->whole : s->more).Encode(absl::string_view(text, n), &ids);
    if (!status.ok())
        die("sentencepiece: %s", status.ToString().c_str());
    ids_append(out, ids.data(), static_cast<int64_t>(ids.size()));
}

char *spm_decode(const struct spm *s, bool start, const int32_t *ids, int64_t n_ids, size_t *n)
{
    std::string text;
    auto status = (start ? s->whole : s->more).Decode(std::vector<int>(ids, ids + n_ids), &text);
    if (!status.ok())
        die("sentencepiece: %s", status.ToString().c_str());
    char *copy = static_cast<char *>(xmalloc(text.size() + 1));
    memcpy(copy, text.c_str(), text.size() + 1);
    *n = text.size();
    return copy;
}
