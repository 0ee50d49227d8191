# make            the CPU build           -> build/cpu/{prepare,train,export,generate,score}
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
PROGRAMS = prepare train export generate score

WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS  ?= -O3 -g -march=$(ARCH) -ffp-contract=fast -fno-math-errno -fno-trapping-math
CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP
LDLIBS_ALL = -lopenblas -ljansson -lsentencepiece -lzstd -lcrypto -lstdc++ -lm -lpthread

C_SRC    = $(filter-out $(MAINS),$(wildcard core/*.c data/*.c model/*.c train/*.c infer/*.c kernels/*.c))
CXX_SRC  = $(wildcard data/*.cc)
MAINS    = data/prepare.c train/train.c train/export.c infer/generate.c infer/score.c
TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
BENCHES  = $(patsubst tests/%.c,%,$(wildcard tests/bench_*.c))

ifeq ($(BACKEND),cpu)
KERNEL_SRC = $(wildcard kernels/cpu/*.c)
LDLIBS     = $(LDLIBS_ALL)
else ifeq ($(BACKEND),cuda)
KERNEL_SRC = $(wildcard kernels/cuda/*.cu)
CUDA_HOME ?= /usr/local/cuda
CPPFLAGS  += -I$(CUDA_HOME)/include
NVCCFLAGS ?= -O3 -lineinfo -std=c++17 -Xcompiler -Wall,-Wextra -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a
LDLIBS     = -L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/lib64/stubs -lcublasLt -lcublas -lcudart $(LDLIBS_ALL)
else
$(error BACKEND is cpu or cuda, not '$(BACKEND)')
endif

OBJ = $(patsubst %,$(BUILD)/%.o,$(C_SRC) $(CXX_SRC) $(KERNEL_SRC))
LIB = $(BUILD)/libpromptcot.a

all: $(addprefix $(BUILD)/,$(PROGRAMS))

$(BUILD)/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -fopenmp $(WARN) $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/%.cc.o: %.cc
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -fopenmp -Wall -Wextra $(CPPFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVCCFLAGS) -I. -MMD -MP -c $< -o $@
$(LIB): $(OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/prepare: $(BUILD)/data/prepare.c.o $(LIB)
$(BUILD)/train: $(BUILD)/train/train.c.o $(LIB)
$(BUILD)/export: $(BUILD)/train/export.c.o $(LIB)
$(BUILD)/generate: $(BUILD)/infer/generate.c.o $(LIB)
$(BUILD)/score: $(BUILD)/infer/score.c.o $(LIB)
$(addprefix $(BUILD)/,$(PROGRAMS)):
	$(CXX) -fopenmp $(LDFLAGS) $^ $(LDLIBS) -o $@

# Test and bench programs; test_x.c may use helpers in tests/ref_*.c (the double-precision references).
$(BUILD)/tests/%: $(BUILD)/tests/%.c.o $(patsubst %,$(BUILD)/%.o,$(wildcard tests/ref_*.c)) $(LIB)
	$(CXX) -fopenmp $(LDFLAGS) $^ $(LDLIBS) -o $@

tests: all $(addprefix $(BUILD)/tests/,$(TESTS) $(BENCHES))

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
.PHONY: all tests clean
