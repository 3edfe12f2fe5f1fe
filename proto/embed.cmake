# cmake -D INPUT=<file> -D OUTPUT=<file.c> -D NAME=<symbol> -P embed.cmake
# A file as an array of bytes, <symbol>, and its size, <symbol>_size; no compiler extension and no other tool needed.
file(READ ${INPUT} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REPEAT "....." 16 sixteen)
string(REGEX REPLACE "(${sixteen})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include <stddef.h>\n#include <stdint.h>\n\nconst uint8_t ${NAME}[] = {\n${bytes}\n};\n"
    "const size_t ${NAME}_size = ${size};\n")
