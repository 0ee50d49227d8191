/* infer/promptcot/replies.h - what models replied, in a file that grows a line a reply, so that work that was ended at any moment goes on from there.
 *
 * A line is {"key", "reply"}. The key is a digest of everything that the reply depends on, so whoever asks the same again finds it, and what was
 * asked under other settings is passed over. A line that was cut off by the end of the process is taken off when the file is opened.
 * In memory are 16 bytes a reply; the replies themselves are read when they are needed.
 */
#ifndef INFER_PROMPTCOT_REPLIES_H
#define INFER_PROMPTCOT_REPLIES_H
#include "core/hash.h"
#include "core/json.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct replies;
/* The file is made when it is not there. One process at a time: a second is refused. */
bool replies_open(struct replies **r, const char *path, struct err *e);
void replies_close(struct replies *r);
bool replies_has(const struct replies *r, const char key[HASH_XXH3_HEX]);
/* A new reference; NULL: there is none, or (e) it cannot be read. */
json_t *replies_get(const struct replies *r, const char key[HASH_XXH3_HEX], struct err *e);
/* Takes effect at once. From one thread at a time. A key that is there keeps its reply. */
bool replies_put(struct replies *r, const char key[HASH_XXH3_HEX], json_t *reply, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
