/* infer/promptcot/http.h - one POST to an HTTP server and its reply, by libcurl. */
#ifndef INFER_PROMPTCOT_HTTP_H
#define INFER_PROMPTCOT_HTTP_H
#include <stdbool.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* A connection that is kept from one request to the next; for one thread at a time. */
struct http;
/* key: sent as bearer token; NULL: none. Once per process before threads start: http_start(). */
void http_start(void);
struct http *http_open(const char *key);
void http_close(struct http *h);

struct http_reply {
    long status; /* 0: there was no reply, and `why` says why */
    char *body;  /* [n] and a NUL */
    size_t n;
    double retry_after; /* seconds that the server asks to wait, 0: it does not say */
    char why[256];
};
/* Sends JSON. *stop, looked at several times a second, ends it early. Replies over 1 GiB are cut off as failures. The caller frees body. */
void http_post(struct http *h, const char *url, const char *json, double timeout_s, const volatile bool *stop, struct http_reply *r);

#ifdef __cplusplus
}
#endif
#endif
