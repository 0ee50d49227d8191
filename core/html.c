/* core/html.c - see html.h: the page, its text and tables. Charts are html_chart.c. */
#include "core/html.h"
#include "core/file.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{--bg:#fff;--fg:#1c1e21;--dim:#6a6f76;--line:#d9dce0;--soft:#f4f5f7;--good:#1a7f37;--bad:#c62828;"
    "--c0:#2563c9;--c1:#d9730d;--c2:#2a8a4a;--c3:#8a4bc9;--c4:#b5305f;--c5:#5b6470}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181b;--fg:#e6e7e9;--dim:#9aa0a8;--line:#33373d;--soft:#1f2226;--good:#5ccb7b;"
    "--bad:#ff7b72;--c0:#6ea8ff;--c1:#ffae57;--c2:#68d391;--c3:#c79bff;--c4:#ff8fb3;--c5:#aab2bd}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;color-scheme:light dark}\n"
    "h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2rem}p.dim,.dim{color:var(--dim)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem}"
    "th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}"
    "th{color:var(--dim);font-weight:600}.num{text-align:right;font-variant-numeric:tabular-nums}"
    ".good{color:var(--good)}.bad{color:var(--bad)}\n"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:.6rem .8rem;border-radius:6px;margin:.4rem 0;"
    "font:.85rem/1.45 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}\n"
    "details summary{cursor:pointer;color:var(--dim)}.card{border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem;"
    "margin:.7rem 0}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(16rem,1fr));gap:1rem}figure{margin:1rem 0;max-width:48rem;overflow-x:auto}"
    "figcaption{font-weight:600;font-size:.95rem}svg{width:100%;height:auto;display:block}figure:not(.small) svg{min-width:34rem}"
    "svg text{fill:var(--dim);font-size:12px}svg .grid{stroke:var(--line)}svg .value{fill:var(--fg)}"
    "svg polyline{fill:none;stroke-linejoin:round}.key{display:inline-block;margin-right:1.1rem;font-size:.88rem;color:var(--dim)}"
    ".key i{display:inline-block;width:.9rem;height:.25rem;margin-right:.4rem;vertical-align:middle;border-radius:2px}\n";

void html_begin(struct html *h, const char *title)
{
    *h = (struct html){0};
    h->f = open_memstream(&h->text, &h->n);
    must(h->f);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
          h->f);
    html_text(h, title);
    fprintf(h->f, "</title>\n<style>\n%s</style></head><body>\n", style);
    html_element(h, "h1", NULL, title);
}

bool html_finish(struct html *h, const char *path, struct err *e)
{
    fputs("</body></html>\n", h->f);
    must(fclose(h->f) == 0); /* memory: it fails for want of memory only */
    struct file_out *out;
    bool ok = file_out_open(&out, path, false, e);
    if (ok && !file_out_write(out, h->text, h->n, e)) {
        file_out_abort(out);
        ok = false;
    } else if (ok) {
        ok = file_out_commit(out, e);
    }
    free(h->text);
    *h = (struct html){0};
    return ok;
}

void html_abort(struct html *h)
{
    fclose(h->f);
    free(h->text);
    *h = (struct html){0};
}

void html_text(struct html *h, const char *s)
{
    for (; *s; s++) {
        size_t plain = 0; /* bytes that stand for themselves, as nearly all do */
        while ((unsigned char)s[plain] >= 0x20 && !strchr("&<>\"'\x7f", s[plain]))
            plain++;
        fwrite(s, 1, plain, h->f);
        s += plain;
        if (!*s)
            return;
        switch (*s) {
        case '&':
            fputs("&amp;", h->f);
            break;
        case '<':
            fputs("&lt;", h->f);
            break;
        case '>':
            fputs("&gt;", h->f);
            break;
        case '"':
            fputs("&quot;", h->f);
            break;
        case '\'':
            fputs("&#39;", h->f);
            break;
        default:
            if (((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f)
                fputs("\xEF\xBF\xBD", h->f);
            else
                fputc(*s, h->f);
        }
    }
}

void html_element(struct html *h, const char *tag, const char *class_name, const char *text)
{
    if (class_name)
        fprintf(h->f, "<%s class=\"%s\">", tag, class_name);
    else
        fprintf(h->f, "<%s>", tag);
    html_text(h, text);
    fprintf(h->f, "</%s>\n", tag);
}

void html_table_begin(struct html *h, const char *const *headings)
{
    fputs("<div class=\"wide\"><table>\n<tr>", h->f);
    for (; *headings; headings++) {
        fputs("<th>", h->f);
        html_text(h, *headings);
        fputs("</th>", h->f);
    }
}

void html_row(struct html *h)
{
    fputs("</tr>\n<tr>", h->f);
}

void html_cell(struct html *h, const char *class_name, const char *fmt, ...)
{
    char *s;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&s, fmt, args);
    va_end(args);
    must(n >= 0);
    fprintf(h->f, class_name ? "<td class=\"%s\">" : "<td>", class_name);
    html_text(h, s);
    fputs("</td>", h->f);
    free(s);
}

void html_table_end(struct html *h)
{
    fputs("</tr></table></div>\n", h->f);
}

void html_key(struct html *h, const char *colour, const char *name)
{
    fprintf(h->f, "<span class=\"key\"><i style=\"background:var(--%s)\"></i>", colour);
    html_text(h, name);
    fputs("</span>", h->f);
}

void html_fold(struct html *h, const char *summary, const char *text)
{
    fputs("<details><summary>", h->f);
    html_text(h, summary);
    fputs("</summary><pre>", h->f);
    html_text(h, text);
    fputs("</pre></details>\n", h->f);
}
