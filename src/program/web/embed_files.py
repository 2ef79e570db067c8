"""Turns files into C strings with their names: OUTPUT FILE..."""
import os
import sys


def literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join('    "%s\\n"' % line for line in escaped.splitlines())


def main():
    output, files = sys.argv[1], sys.argv[2:]
    with open(output, "w", encoding="ascii") as out:
        out.write('/* Made from src/program/web/share/ at build time. */\n#include "program/web/share.h"\n')
        for path in files:
            name = os.path.basename(path).upper().replace(".", "_")
            with open(path, encoding="ascii") as f:
                out.write("\nconst char %s[] =\n%s;\n" % (name, literal(f.read())))


main()
