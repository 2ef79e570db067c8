"""Turns the migrations given as arguments into a C table: OUTPUT FILE..."""
import hashlib
import os
import sys


def literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join('        "%s\\n"' % line for line in escaped.splitlines())


def main():
    output, files = sys.argv[1], sys.argv[2:]
    rows = []
    for expected, path in enumerate(files, start=1):
        name = os.path.splitext(os.path.basename(path))[0]
        if int(name.split("_")[0]) != expected:
            sys.exit("%s: expected number %04d" % (path, expected))
        with open(path, encoding="ascii") as f:
            sql = f.read()
        digest = hashlib.sha256(sql.encode()).hexdigest()
        rows.append('    {%d, "%s", "%s",\n%s},' % (expected, name, digest, literal(sql)))
    with open(output, "w", encoding="ascii") as f:
        f.write('/* Made from src/store/schema/ at build time. */\n#include "store/migrate.h"\n\n')
        f.write("static const migration_t set[] = {\n%s\n};\n\n" % "\n".join(rows))
        f.write("const migration_t *migrate_embedded(size_t *ret_count) {\n")
        f.write("    *ret_count = sizeof set / sizeof set[0];\n    return set;\n}\n")


main()
