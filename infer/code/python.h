/* infer/code/python.h - the Python programs of the code judge as they are in infer/, made part of the programs by the assembler. */
#ifndef INFER_CODE_PYTHON_H
#define INFER_CODE_PYTHON_H
#ifdef __cplusplus
extern "C" {
#endif

/* values.py and call.py; values.py and check.py. Each ends with a NUL. */
extern const char code_call_py[], code_check_py[];

#ifdef __cplusplus
}
#endif
#endif
