/* infer/promptcot/http.c - see http.h. */
#include "infer/promptcot/http.h"
#include "core/err.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t MOST = (size_t)1 << 30; /* bytes of a reply */
static const long CONNECT_S = 10;

struct http {
    CURL *curl;
    struct curl_slist *headers;
};

void http_start(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        die("libcurl cannot be started");
}

struct http *http_open(const char *key)
{
    struct http *h = xcalloc(1, sizeof *h);
    h->curl = curl_easy_init();
    h->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (key) {
        char *line = xprintf("Authorization: Bearer %s", key);
        h->headers = curl_slist_append(h->headers, line);
        free(line);
    }
    must(h->curl && h->headers);
    return h;
}

void http_close(struct http *h)
{
    curl_easy_cleanup(h->curl);
    curl_slist_free_all(h->headers);
    free(h);
}

struct intake {
    struct http_reply *r;
    size_t room;
    const volatile bool *stop;
};

static size_t take(char *data, size_t size, size_t count, void *to)
{
    struct intake *in = to;
    size_t n = size * count;
    if (n > MOST - in->r->n)
        return 0;
    if (in->r->n + n + 1 > in->room)
        in->r->body = xrealloc(in->r->body, in->room = 2 * (in->r->n + n + 1));
    memcpy(in->r->body + in->r->n, data, n);
    in->r->n += n;
    in->r->body[in->r->n] = '\0';
    return n;
}

static int stopped(void *from, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct intake *in = from;
    (void)down_total, (void)down, (void)up_total, (void)up;
    return *in->stop;
}

void http_post(struct http *h, const char *url, const char *json, double timeout_s, const volatile bool *stop, struct http_reply *r)
{
    char why[CURL_ERROR_SIZE] = "";
    struct intake in = {r, 0, stop};
    *r = (struct http_reply){.body = xcalloc(1, 1)};
    in.room = 1;
    curl_easy_reset(h->curl); /* options; the connection stays */
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, json);
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(json));
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, &in);
    curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L); /* threads */
    curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)(1000 * timeout_s));
    curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, stopped);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, &in);
    CURLcode code = curl_easy_perform(h->curl);
    if (code != CURLE_OK) {
        snprintf(r->why, sizeof r->why, "%.250s", why[0] ? why : curl_easy_strerror(code));
        return;
    }
    curl_off_t wait = 0;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &wait);
    r->retry_after = (double)wait;
}
