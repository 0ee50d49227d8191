# make            the CPU build           -> build/cpu/{prepare,select,decontaminate,train,export,generate,score,report,compare,synth,promptcot}
# make BACKEND=cuda   the NVIDIA build    -> build/cuda/...
# make help       every target
#
# Files are found by folder, so adding an op, a module or a test edits nothing here. The backend decides one thing: whether kernels/cpu or
# kernels/cuda is compiled. Everything but the programs goes into one archive, so an op that a backend lacks is a link error with its name.

BACKEND ?= cpu
BUILD   ?= build/$(BACKEND)
ARCH    ?= native
CC      ?= cc
CXX     ?= c++
NVCC    ?= nvcc
PROGRAMS = prepare select decontaminate train export generate score report compare synth promptcot

WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS  ?= -O3 -g -march=$(ARCH) -ffp-contract=fast -fno-math-errno -fno-trapping-math
CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP
# MPI as pkg-config knows it: ompi-c, or MPI=mpich.
MPI      ?= ompi-c
MPI_CFLAGS := $(shell pkg-config --cflags $(MPI))
MPI_LIBS := $(shell pkg-config --libs $(MPI))
CPPFLAGS += $(MPI_CFLAGS)
LDLIBS_ALL = -Wl,--as-needed $(MPI_LIBS) -ljansson -lsentencepiece -lzstd -lz -lsnappy -lcrypto -lseccomp -lmpc -lmpfr -lgmp -lcurl -lstdc++ -lm -lpthread

C_SRC    = $(filter-out $(MAINS),$(wildcard core/*.c data/*.c data/*/*.c model/*.c train/*.c infer/*.c infer/*/*.c kernels/*.c))
CXX_SRC  = $(wildcard data/*.cc)
MAINS    = data/prepare.c infer/select.c data/select/decontam_main.c train/train.c train/export.c infer/generate.c infer/score/score.c infer/score/report.c infer/score/compare_main.c data/synth/main.c infer/promptcot/main.c
TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
BENCHES  = $(patsubst tests/%.c,%,$(wildcard tests/bench_*.c))

ifeq ($(BACKEND),cpu)
KERNEL_SRC = $(wildcard kernels/cpu/*.c)
LDLIBS     = -ldnnl $(LDLIBS_ALL)
else ifeq ($(BACKEND),cuda)
KERNEL_SRC = $(wildcard kernels/cuda/*.cu)
CUDA_HOME ?= /usr/local/cuda
CPPFLAGS  += -I$(CUDA_HOME)/include
NVCCFLAGS ?= -O3 -lineinfo -std=c++17 -Xcompiler -Wall,-Wextra -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a
# cuDNN is needed by the Transformer of bench_throughput only; --as-needed keeps it out of the other programs.
ifeq ($(wildcard $(addsuffix /cudnn.h,$(CUDA_HOME)/include /usr/include /usr/include/x86_64-linux-gnu /usr/include/aarch64-linux-gnu)),)
$(error no cudnn.h in $(CUDA_HOME)/include or /usr/include: install cuDNN 9.15 or newer (NVIDIA's package libcudnn9-dev-cuda-12 or -13), or set CUDA_HOME)
endif
LDLIBS     = -L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/lib64/stubs -lnccl -lcublasLt -lcublas -lcudart -Wl,--as-needed -lcudnn $(LDLIBS_ALL)
else
$(error BACKEND is cpu or cuda, not '$(BACKEND)')
endif

OBJ = $(patsubst %,$(BUILD)/obj/%.o,$(C_SRC) $(CXX_SRC) $(KERNEL_SRC))
LIB = $(BUILD)/libpromptcot.a

all: $(addprefix $(BUILD)/,$(PROGRAMS))

$(BUILD)/obj/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -fopenmp $(WARN) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/obj/%.cc.o: %.cc
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -fopenmp -Wall -Wextra $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/obj/infer/code/python.c.o: infer/code/values.py infer/code/call.py infer/code/check.py
$(BUILD)/obj/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVCCFLAGS) -I. -MMD -MP -c $< -o $@
$(LIB): $(OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/prepare: $(BUILD)/obj/data/prepare.c.o $(LIB)
$(BUILD)/select: $(BUILD)/obj/infer/select.c.o $(LIB)
$(BUILD)/decontaminate: $(BUILD)/obj/data/select/decontam_main.c.o $(LIB)
$(BUILD)/train: $(BUILD)/obj/train/train.c.o $(LIB)
$(BUILD)/export: $(BUILD)/obj/train/export.c.o $(LIB)
$(BUILD)/generate: $(BUILD)/obj/infer/generate.c.o $(LIB)
$(BUILD)/score: $(BUILD)/obj/infer/score/score.c.o $(LIB)
$(BUILD)/report: $(BUILD)/obj/infer/score/report.c.o $(LIB)
$(BUILD)/compare: $(BUILD)/obj/infer/score/compare_main.c.o $(LIB)
$(BUILD)/synth: $(BUILD)/obj/data/synth/main.c.o $(LIB)
$(BUILD)/promptcot: $(BUILD)/obj/infer/promptcot/main.c.o $(LIB)
$(addprefix $(BUILD)/,$(PROGRAMS)):
	$(CXX) -fopenmp $(LDFLAGS) $^ $(LDLIBS) -o $@

# Test and bench programs; test_x.c may use helpers in tests/ref_*.c (the double-precision references).
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.c.o $(patsubst %,$(BUILD)/obj/%.o,$(wildcard tests/ref_*.c)) $(LIB)
	@mkdir -p $(@D)
	$(CXX) -fopenmp $(LDFLAGS) $^ $(LDLIBS) -o $@

tests: all $(addprefix $(BUILD)/tests/,$(TESTS) $(BENCHES))

# The tests say which failed and close with "N passed, N failed, N skipped".
test: tests
	@scripts/run_tests.sh $(BUILD)

check:
	@scripts/check.sh $(BUILD)

# Every test again with the address, leak and undefined-behaviour sanitizers; the first finding ends the program.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined
asan:
	UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) BACKEND=cpu BUILD=build/asan LDFLAGS="$(SANITIZE)" \
	    CFLAGS="-O1 -g -march=$(ARCH) -fno-omit-frame-pointer $(SANITIZE)" test

demo: all
	scripts/run_demo.sh

# bench_peer, bench_attention and bench_parquet are started by scripts/bench_peers.py, bench_attention.py and bench_parquet.py; bench_drift
# measures no time; bench_throughput has a target of its own.
bench: $(addprefix $(BUILD)/tests/,$(filter-out bench_peer bench_attention bench_parquet bench_throughput bench_drift,$(BENCHES)))
	@set -e; for b in $^; do echo "== $$b"; $$b --json $(BUILD)/$$(basename $$b).json; done

# The engine beside a Transformer under a memory limit: tables, JSON and a plot. LIMITS="--memory-gib 24" for one of the two limits.
bench-throughput: $(BUILD)/tests/bench_throughput
	GOMP_SPINCOUNT=$${GOMP_SPINCOUNT:-10000} $< $(LIMITS) --json $(BUILD)/bench_throughput.json
	python3 scripts/report_throughput.py $(BUILD)/bench_throughput.json $(BUILD)/bench_throughput.md $(BUILD)/bench_throughput.svg

help:
	@echo 'make                 the programs, CPU build:    build/cpu/{prepare,select,decontaminate,train,export,generate,score,report,compare,synth,promptcot}'
	@echo 'make BACKEND=cuda    the same for NVIDIA GPUs:   build/cuda/... (CUDA_HOME=$(if $(CUDA_HOME),$(CUDA_HOME),/usr/local/cuda))'
	@echo 'make test            build all, check, run every test; the last line sums up (BACKEND=cuda: on the GPU)'
	@echo 'PCM_LONG=1 make test the long form: a run killed 100 times instead of 10'
	@echo 'make check           who includes whom, headers alone, clang-format, cppcheck'
	@echo 'make asan            every test under the address, leak and undefined-behaviour sanitizers'
	@echo 'make tests           build the test and bench programs only'
	@echo 'make bench           build and run the benchmarks: tables, and BUILD/bench_*.json'
	@echo '                     one of them: make tests, then BUILD/tests/bench_{model,ops} [--model NAME|CONFIG] [--tokens N] [--quick]'
	@echo '                     [--only train|decode|NAME OF OPS] [--json FILE]; --help says more'
	@echo 'make bench-throughput   the engine beside a Transformer of its size under a memory limit: BUILD/bench_throughput.{md,json,svg}'
	@echo 'make demo            synth, prepare, train, export, generate, score and report on a small example'
	@echo 'make clean           remove build/'
	@echo 'Variables: BACKEND=cpu|cuda  BUILD=folder  ARCH=native (for -march)  MPI=ompi-c  CC CXX NVCC CFLAGS LDFLAGS'

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
.PHONY: all tests test check asan demo bench bench-throughput help clean
