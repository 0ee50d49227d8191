/* infer/code_python.c - see code_python.h. The Makefile knows that this file is made anew when one of the Python files changes. */
#include "infer/code_python.h"

#define PROGRAM(name, file)                                                                                                                \
    __asm__(".section .rodata\n.global " name "\n" name ":\n.incbin \"infer/code_values.py\"\n.incbin \"" file "\"\n.byte 0\n.previous\n")
PROGRAM("code_call_py", "infer/code_call.py");
PROGRAM("code_check_py", "infer/code_check.py");
