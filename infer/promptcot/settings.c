/* infer/promptcot/settings.c - the table of settings of promptcot, and what has to hold between them. */
#include "core/file.h"
#include "infer/code/sandbox.h"
#include "infer/promptcot/promptcot.h"
#include <stdlib.h>
#include <string.h>

const char *const promptcot_job_names[] = {"synthesis", "expectation", "triples", NULL};
static const char *const domain_names[] = {"math", "code", NULL};

#define AT(field)                         .at = offsetof(struct promptcot, field)
#define SAMPLING(step, most, heat, times) ASK_SAMPLING_FIELDS(#step ".", offsetof(struct promptcot, step), most, heat, times)
const struct conf_field promptcot_table[] = {
    {.key = "work", .type = CONF_STR, AT(work), .required = true, .help = "folder for the files of all steps"},
    {.key = "job",
     .type = CONF_CHOICE,
     AT(job),
     .choices = promptcot_job_names,
     .str_def = "synthesis",
     .help =
         "synthesis: new problems; expectation: the best rationales for given ones; triples: given ones with their rationales, as lessons"},
    {.key = "until", .type = CONF_STR, AT(until), .help = "the last step to be done"},
    {.key = "seed", .type = CONF_INT, AT(seed), .def = 8000, .min = 0, .max = 1e9, .help = "of combinations and of all sampling"},
    {.key = "domain",
     .type = CONF_CHOICE,
     AT(domain),
     .choices = domain_names,
     .str_def = "math",
     .help = "which concepts are used, and how answers are asked for and checked"},
    {.key = "models",
     .type = CONF_LIST,
     AT(models),
     .sub = ask_model_table,
     .sub_size = sizeof(struct ask_model),

     .help = "model folders and endpoints"},

    {.key = "concepts",
     .type = CONF_STR,
     AT(concepts),
     .str_def = "configs/concepts.jsonl",
     .help = "{\"concept\", \"domain\", \"level\": 1..5} a line"},
    {.key = "combine.problems", .type = CONF_INT, AT(problems), .def = 100, .min = 1, .max = 1e8, .help = "combinations to draw"},
    {.key = "combine.model", .type = CONF_STR, AT(embed_model), .help = "model whose embeddings say which concepts are close"},
    {.key = "combine.concepts", .type = CONF_INT, AT(together), .def = 5, .min = 1, .max = 16, .help = "concepts of a problem"},
    {.key = "combine.closeness",
     .type = CONF_FLOAT,
     AT(closeness),
     .def = 0.2,
     .min = 0.001,
     .max = 1000,
     .help = "temperature over cosines: small draws close concepts, large any"},
    {.key = "combine.levels",
     .type = CONF_STRS,
     AT(levels),
     .help = "difficulty levels to draw from; not given: those of the published sets for mathematics, easy, medium, hard for code"},
    {.key = "combine.least_level", .type = CONF_INT, AT(least_level), .def = 1, .min = 1, .max = 5, .help = "of a concept"},
    {.key = "combine.most_level", .type = CONF_INT, AT(most_level), .def = 5, .min = 1, .max = 5, .help = "of a concept"},

    {.key = "rationale.model", .type = CONF_STR, AT(rationale_model), .help = "model that writes rationales"},
    SAMPLING(rationale, 2048, 0.8, 1),
    {.key = "problem.model", .type = CONF_STR, AT(problem_model), .help = "model that writes problems from them"},
    SAMPLING(problem, 2048, 0.8, 1),
    {.key = "problem.similarity",
     .type = CONF_FLOAT,
     AT(similarity),
     .def = 0.7,
     .min = 0.3,
     .max = 1,
     .help = "share of common three-word runs that makes a problem a near repeat of one before it; other numbers are other words here"},
    DECONTAM_FIELDS("decontaminate.", offsetof(struct promptcot, decontaminate)),
    {.key = "judge.models", .type = CONF_STRS, AT(judges), .help = "models that judge; none: nothing is judged"},
    SAMPLING(judge, 2048, 0, 1),
    {.key = "reward.model", .type = CONF_STR, AT(reward_model), .help = "model whose log-probabilities are the reward; not given: none"},
    {.key = "answer.model", .type = CONF_STR, AT(answer_model), .help = "the teacher"},
    SAMPLING(answer, 16384, 0.6, 4),
    {.key = "answer.agree",
     .type = CONF_FLOAT,
     AT(agree),
     .def = 0.5,
     .max = 1,
     .help = "share of the samples that must have the most frequent answer"},
    {.key = "answer.inputs",
     .type = CONF_INT,
     AT(inputs),
     .def = 5,
     .min = 0,
     .max = 100,
     .help =
         "code: the teacher makes so many inputs for each problem, and programs that print the same for all of them have the same answer; 0: "
         "programs are not run, and any is as good as another"},
    {.key = "answer.cpu_seconds",
     .type = CONF_FLOAT,
     AT(cpu_s),
     .def = 6,
     .min = 0.1,
     .max = 3600,
     .help = "CPU time of a program for an input"},
    {.key = "answer.keep", .type = CONF_INT, AT(keep), .def = 1, .min = 1, .max = 1024, .help = "answers kept of a problem, at most"},
    {.key = "answer.thought",
     .type = CONF_BOOL,
     AT(thought),
     .def = 1,
     .help = "kept answers have exactly one thought, ended by </think>, and more after it"},

    {.key = "pairs",
     .type = CONF_STR,
     AT(pairs),
     .help = "expectation, triples: {\"foundational_concepts\", \"level\", \"problem\"} a line, for triples with \"rationale\""},
    {.key = "posterior.model",
     .type = CONF_STR,
     AT(posterior_model),
     .help = "expectation: model that writes rationales for problems that are there"},
    SAMPLING(posterior, 2048, 1, 8),
    {0}};

static bool named(const struct promptcot *p, const char *key, const char *name, bool needed, struct err *e)
{
    if (!name)
        return !needed || err_set(e, "%s is not given; it names one of the models", key);
    return ask_model_find(&p->models, name, e) || err_in(e, "%s", key);
}

/* Whether programs can be run is known before models are asked for days. */
static bool programs_run(const struct promptcot *p, struct err *e)
{
    if (p->job != JOB_SYNTHESIS || p->domain != DOMAIN_CODE || p->inputs == 0 || (p->until && strcmp(p->until, "answer") != 0))
        return true;
    struct sandbox *s = sandbox_open(false, e);
    if (!s)
        return err_in(e, "the domain code runs the teacher's programs (answer.inputs 0 does without)");
    sandbox_close(s);
    return true;
}

bool promptcot_check(const struct promptcot *p, struct err *e)
{
    bool synthesis = p->job == JOB_SYNTHESIS, expectation = p->job == JOB_EXPECTATION;
    const struct ask_model *m = p->models.at;
    for (int64_t i = 0; i < p->models.n; i++) {
        if (!ask_model_check(&m[i], e))
            return false;
        for (int64_t k = 0; k < i; k++)
            if (strcmp(m[i].name, m[k].name) == 0)
                return err_set(e, "models.%lld and models.%lld are both \"%s\"", (long long)k, (long long)i, m[i].name);
    }
    for (int64_t i = 0; i < p->judges.n; i++)
        if (!named(p, "judge.models", p->judges.at[i], true, e))
            return false;
    if (!synthesis && !p->pairs)
        return err_set(e, "pairs is not given; the job %s reads problems from it", promptcot_job_names[p->job]);
    if (p->reward_model && ask_model_chats(&p->models, p->reward_model))
        return err_set(e, "reward.model: \"%s\" has the api chat; log-probabilities of given text need a folder or completions",
                       p->reward_model);
    if (p->least_level > p->most_level)
        return err_set(e, "combine.least_level %lld is above combine.most_level %lld", (long long)p->least_level, (long long)p->most_level);
    return named(p, "combine.model", p->embed_model, synthesis, e) && named(p, "rationale.model", p->rationale_model, synthesis, e) &&
           named(p, "problem.model", p->problem_model, synthesis, e) && named(p, "answer.model", p->answer_model, synthesis, e) &&
           named(p, "posterior.model", p->posterior_model, expectation, e) && named(p, "reward.model", p->reward_model, expectation, e) &&
           programs_run(p, e);
}
