/* model/config.c - config.json in and out. */
#include "model/config.h"
#include "core/file.h"
#include "core/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool optional_int(const json_t *o, const char *key, int64_t def, int64_t min, int64_t max, int64_t *v, struct err *e)
{
    json_t *j = json_object_get(o, key);
    *v = def;
    return !j || json_is_null(j) || json_get_int(o, key, min, max, v, e);
}

static bool optional_bool(const json_t *o, const char *key, bool def, bool *v, struct err *e)
{
    json_t *j = json_object_get(o, key);
    *v = def;
    return !j || json_is_null(j) || json_get_bool(o, key, v, e);
}

/* The keys whose other values would be another model. */
static bool refuse_others(const json_t *o, struct err *e)
{
    const char *s;
    bool b;
    if (json_object_get(o, "model_type")) {
        if (!json_get_str(o, "model_type", &s, e))
            return false;
        if (strcmp(s, "mamba2"))
            return err_set(e, "\"model_type\" must be \"mamba2\", got \"%s\": this program runs Mamba-2 only", s);
    }
    if (json_object_get(o, "hidden_act")) {
        if (!json_get_str(o, "hidden_act", &s, e))
            return false;
        if (strcmp(s, "silu") && strcmp(s, "swish"))
            return err_set(e, "\"hidden_act\" must be \"silu\", got \"%s\"", s);
    }
    if (!optional_bool(o, "use_bias", false, &b, e))
        return false;
    if (b)
        return err_set(e, "\"use_bias\" must be false: projections with a bias are not part of this model");
    if (!optional_bool(o, "use_conv_bias", true, &b, e))
        return false;
    if (!b)
        return err_set(e, "\"use_conv_bias\" must be true: the convolution has a bias in this model");
    if (!optional_bool(o, "rms_norm", true, &b, e))
        return false;
    if (!b)
        return err_set(e, "\"rms_norm\" must be true: the mixer has a gated norm in this model");
    json_t *limit = json_object_get(o, "time_step_limit"), *upper = json_array_get(limit, 1);
    if (json_is_object(upper)) /* transformers 5 writes {"__float__": "Infinity"} */
        upper = json_object_get(upper, "__float__");
    bool open = json_is_string(upper) ? !strcmp(json_string_value(upper), "Infinity") : json_number_value(upper) >= 1e30;
    if (json_is_array(limit) && (json_array_size(limit) != 2 || json_number_value(json_array_get(limit, 0)) > 0 || !open))
        return err_set(e, "\"time_step_limit\" must be [0, Infinity]: dt is not clamped in this model");
    return true;
}

static bool read_config(struct model_config *c, const json_t *o, char *note, size_t n, struct err *e)
{
    int64_t v;
    if (!json_is_object(o))
        return err_set(e, "expected an object of model settings, got %s", json_type_name(o));
    if (!refuse_others(o, e))
        return false;
#define FIELD(name, key, min, max)                                                                                                         \
    if (!json_get_int(o, key, min, max, &v, e))                                                                                            \
        return false;                                                                                                                      \
    c->name = (__typeof__(c->name))v
    FIELD(vocab, "vocab_size", 2, 1 << 24);
    FIELD(hidden, "hidden_size", 1, 1 << 20);
    FIELD(layers, "num_hidden_layers", 1, 4096);
    FIELD(heads, "num_heads", 1, 65536);
    FIELD(headdim, "head_dim", 1, 4096);
    FIELD(groups, "n_groups", 1, 65536);
    FIELD(state, "state_size", 1, 4096);
    FIELD(conv, "conv_kernel", 2, 4);
#undef FIELD
    if (!optional_int(o, "chunk_size", 256, 1, 65536, &v, e))
        return false;
    c->chunk = (int32_t)v;
    if (!optional_bool(o, "tie_word_embeddings", false, &c->tied, e))
        return false;
    double eps = 1e-5;
    if (json_object_get(o, "layer_norm_epsilon") && !json_get_num(o, "layer_norm_epsilon", &eps, e))
        return false;
    if (!(eps > 0 && eps < 1))
        return err_set(e, "\"layer_norm_epsilon\" must be above 0 and below 1, got %g", eps);
    c->eps = eps;
    int64_t bos, eos, pad;
    if (!optional_int(o, "bos_token_id", -1, -1, c->vocab - 1, &bos, e) ||
        !optional_int(o, "eos_token_id", -1, -1, c->vocab - 1, &eos, e) || !optional_int(o, "pad_token_id", -1, -1, c->vocab - 1, &pad, e))
        return false;
    c->bos = (int32_t)bos;
    c->eos = (int32_t)eos;
    c->pad = (int32_t)pad;
    const char *dtype = json_string_value(json_object_get(o, json_object_get(o, "torch_dtype") ? "torch_dtype" : "dtype"));
    c->type = dtype && strcmp(dtype, "float32") ? BF16 : F32;
    if (c->heads % c->groups)
        return err_set(e, "\"num_heads\" (%d) must be a multiple of \"n_groups\" (%d)", c->heads, c->groups);
    if (json_object_get(o, "expand")) {
        double expand;
        if (!json_get_num(o, "expand", &expand, e))
            return false;
        if (expand * (double)c->hidden != (double)config_inner(c))
            return err_set(e, "\"num_heads\" x \"head_dim\" (%lld) must equal \"expand\" x \"hidden_size\" (%g)",
                           (long long)config_inner(c), expand * (double)c->hidden);
    }
    bool before;
    if (!optional_bool(o, "norm_before_gate", false, &before, e))
        return false;
    if (note && n)
        snprintf(note, n, "%s",
                 before ? "norm_before_gate is true in this file; the gate comes first in Mamba-2, so it is read as false" : "");
    return true;
}

bool config_load(struct model_config *c, const char *path, char *note, size_t n, struct err *e)
{
    char *file = file_is_dir(path) ? xprintf("%s/config.json", path) : xstrdup(path);
    json_t *o = json_load_path(file, true, NULL, e);
    bool ok = o != NULL;
    *c = (struct model_config){0};
    if (ok && !read_config(c, o, note, n, e))
        ok = err_in(e, "%s", file);
    json_decref(o);
    free(file);
    return ok;
}

json_t *config_json(const struct model_config *c)
{
    json_t *o = json_pack("{s:[s], s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:i, s:f, s:b, s:b, s:s, s:b, s:b, s:b, s:s}",
                          "architectures", "Mamba2ForCausalLM", "model_type", "mamba2", "vocab_size", (json_int_t)c->vocab, "hidden_size",
                          (json_int_t)c->hidden, "num_hidden_layers", c->layers, "num_heads", c->heads, "head_dim", c->headdim, "n_groups",
                          c->groups, "state_size", c->state, "conv_kernel", c->conv, "tie_word_embeddings", c->tied, "chunk_size", c->chunk,
                          "layer_norm_epsilon", c->eps, "use_bias", 0, "use_conv_bias", 1, "hidden_act", "silu", "residual_in_fp32", 1,
                          "rms_norm", 1, "norm_before_gate", 0, "torch_dtype", c->type == BF16 ? "bfloat16" : "float32");
    must(o);
    if (config_inner(c) % c->hidden == 0)
        json_object_set_new(o, "expand", json_integer(config_inner(c) / c->hidden));
    else
        json_object_set_new(o, "expand", json_real((double)config_inner(c) / (double)c->hidden));
    if (c->bos >= 0)
        json_object_set_new(o, "bos_token_id", json_integer(c->bos));
    if (c->eos >= 0)
        json_object_set_new(o, "eos_token_id", json_integer(c->eos));
    if (c->pad >= 0)
        json_object_set_new(o, "pad_token_id", json_integer(c->pad));
    return o;
}
