/* infer/code/python.c - see python.h. The Makefile knows that this file is made anew when one of the Python files changes. */
#include "infer/code/python.h"

#define PROGRAM(name, file)                                                                                                                \
    __asm__(".section .rodata\n.global " name "\n" name ":\n.incbin \"infer/code/values.py\"\n.incbin \"" file "\"\n.byte 0\n.previous\n")
PROGRAM("code_call_py", "infer/code/call.py");
PROGRAM("code_check_py", "infer/code/check.py");
