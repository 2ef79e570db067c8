"""scripts/house-rules must be able to fail: each rule gets a small bad tree, and a clean one passes."""

import os
import subprocess
import sys

import pytest

HOUSE_RULES = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "house-rules")
OPENING = "/* What this file of the test is for. */\n"


def guarded(guard, body):
    return f"{OPENING}#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"


def write_tree(root, files):
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        parts = path.split("/")
        if parts[0] == "src" and len(parts) > 2:
            (root / "src" / parts[1] / "README.md").touch()


def house_rules(root, *arguments):
    done = subprocess.run([sys.executable, HOUSE_RULES, "--root", str(root), *arguments],
                          capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


CLEAN = {
    "src/base/x.h": guarded("COFFER_BASE_X_H", "typedef struct x x_t;\nextern const int x_count;"),
    "src/base/x.c": OPENING + """#include "base/x.h"

struct x { int n; };
const int x_count = 1;
static const char *const names[] = {"one", "two"};
static int (*const action)(void) = NULL;
typedef int (*callback_t)(int);

int apply(void (*fn)(void *arg), void *arg) __attribute__((warn_unused_result));

/* strcpy(a, b) in a comment, and free() too */
int lookup(struct x *x, int n) {
    const char *text = "sprintf(SELECT) malloc(";
    x->free(n);
    mem_free(x);
    return names[n] == text;
}
""",
    "src/store/people.c": OPENING + '#include <sqlite3.h>\n#include "format/json.h"\n'
                          'static const char sql[] = "SELECT name FROM people WHERE id = $1";\n',
    "src/pki/scep.c": OPENING + '#include "keeper/client.h"\n#include "directory/people.h"\n',
    "src/program/keeper/main.c": OPENING + '#include "keeper/server.h"\nint main(void) { puts("x"); }\n',
    "src/keeper/cert_profile_conf.c": OPENING + '#include "format/conf.h"\n',
    "tests/unit/base/test_x.c": OPENING + '#include <stdlib.h>\nvoid t(void) { free(malloc(1)); }\n',
}


def test_house_rules__clean_tree_passes(tmp_path):
    write_tree(tmp_path, CLEAN)
    status, said = house_rules(tmp_path)
    assert status == 0, said
    assert "0 violations" in said


LONG_FUNCTION = OPENING + "int f(int a,\n      int b) {\n" + "    a++;\n" * 90 + "}\n"
LONG_FILE = OPENING + "enum { A };\n" * 800

BAD = [
    ("include-direction", "src/base/a.c", 2, '#include "crypto/aead.h"\n'),
    ("include-direction", "src/http/a.c", 2, '#include "store/db.h"\n'),
    ("include-direction", "src/directory/a.c", 2, '#include "pki/pki.h"\n'),
    ("include-direction", "src/keeper/a.c", 2, '#include "store/db.h"\n'),
    ("include-direction", "src/keeper/a.c", 2, '#include "format/conf.h"\n'),
    ("include-direction", "src/keeper/cert_profile_conf.c", 2, '#include "format/json.h"\n'),
    ("include-direction", "src/device/a.c", 2, '#include "pki/scep_internal.h"\n'),
    ("include-direction", "src/program/keeper/main.c", 2, '#include "store/db.h"\n'),
    ("include-direction", "src/pki/a.c", 2, '#include "program/web/web.h"\n'),
    ("include-style", "src/base/a.c", 2, '#include "err.h"\n'),
    ("include-style", "src/base/a.c", 2, '#include "../base/err.h"\n'),
    ("facade", "src/pki/a.c", 2, "#include <openssl/x509.h>\n"),
    ("facade", "src/device/a.c", 2, "#include <curl/curl.h>\n"),
    ("facade", "src/program/web/a.c", 2, "#include <microhttpd.h>\n"),
    ("facade", "src/keeper/server.c", 2, "#include <sqlite3.h>\n"),
    ("facade", "src/audit/a.c", 2, "#include <jansson.h>\n"),
    ("facade", "src/keeper/a.c", 2, "#include <seccomp.h>\n"),
    ("facade", "src/base/a.c", 2, "#include <sodium.h>\n"),
    ("facade", "src/http/a.c", 2, "#include <nghttp2/nghttp2.h>\n"),
    ("sql", "src/audit/a.c", 2, 'const char *const q = "INSERT INTO audit (a) VALUES ($1)";\n'),
    ("sql", "src/keeper/server.c", 3, '\nconst char *const q = "UPDATE leases SET a = 1";\n'),
    ("sql-printf", "src/store/a.c", 2, 'const char q[] = "SELECT a FROM b WHERE c = \'%s\'";\n'),
    ("banned", "src/base/a.c", 3, "void f(void) {\n    strcpy(a, b);\n}\n"),
    ("banned", "src/pki/a.c", 2, "void f(bytes_t b) { memcpy(to, b.p, b.n); }\n"),
    ("cleanup", "src/pki/a.c", 3, "err_t *f(char *p) {\n    CLEANUP(buf_done) buf_t b;\n    if (!p) return 0;\n    buf_init(&b, 4);\n}\n"),
    ("banned", "tests/unit/base/a.c", 2, "int f(void) { return atoi(b); }\n"),
    ("allocation", "src/pki/a.c", 2, "void f(void *p) { free(p); }\n"),
    ("library-prints", "src/pki/a.c", 2, 'void f(void) { fprintf(stderr, "x"); }\n'),
    ("mutable-global", "src/pki/a.c", 2, "static int counter;\n"),
    ("mutable-global", "src/pki/a.c", 2, "int table[3] = {1, 2, 3};\n"),
    ("mutable-global", "src/pki/a.c", 2, 'static const char *name = "x";\n'),
    ("mutable-global", "src/pki/a.c", 2, "static int (*action)(void);\n"),
    ("mutable-global", "src/pki/a.c", 2, "struct { int a; } state;\n"),
    ("mutable-global", "src/pki/a.c", 3, "int f(void) {\n    static int calls = 0;\n    return calls++;\n}\n"),
    ("function-length", "src/pki/a.c", 2, LONG_FUNCTION[len(OPENING):]),
    ("file-length", "src/pki/a.c", 801, LONG_FILE[len(OPENING):]),
    ("unfinished", "src/pki/a.c", 2, "/* TO" "DO: later */\n"),
    ("unfinished", "docs/a.md", 2, "This is not yet imple" "mented.\n"),
    ("room", "src/attic", 1, "src/attic/a.c"),
]


@pytest.mark.parametrize("rule,path,line,text", BAD, ids=[f"{i}-{b[0]}" for i, b in enumerate(BAD)])
def test_house_rules__finds(tmp_path, rule, path, line, text):
    file = text if rule == "room" else path
    write_tree(tmp_path, {file: OPENING + (text if file == path else "")})
    status, said = house_rules(tmp_path)
    assert status == 1
    assert f"{path}:{line}: {rule}: " in said, said
    assert ", 1 violations" in said, said


@pytest.mark.parametrize("rule,path,text", [
    ("purpose", "src/pki/a.c", "#include <stdio.h>\n"),
    ("purpose", "src/pki/a.c", "/* a */\nint f(void);\n"),
    ("guard", "src/pki/a.h", guarded("COFFER_A_H", "")),
    ("guard", "src/program/web/a.h", OPENING + "#pragma once\n"),
])
def test_house_rules__finds_bad_opening(tmp_path, rule, path, text):
    write_tree(tmp_path, {path: text})
    status, said = house_rules(tmp_path)
    assert status == 1
    assert f"{path}:1: {rule}: " in said, said


def test_house_rules__wants_a_readme(tmp_path):
    write_tree(tmp_path, {"src/pki/a.c": OPENING})
    (tmp_path / "src/pki/README.md").unlink()
    status, said = house_rules(tmp_path)
    assert status == 1
    assert "src/pki/README.md:1: readme: " in said


def test_house_rules__finds_tests_that_are_only_named(tmp_path):
    write_tree(tmp_path, {"tests/unit/a/test_a.c": f"{OPENING}static void test_a__holds(void **state) {{ (void)state; }}\n",
                          "docs/threat-model.md": "| it holds | `tests/unit/a/test_a.c`, `test_a__holds` |\n"})
    assert house_rules(tmp_path)[0] == 0
    for wrong in ("`tests/unit/a/test_b.c`", "`test_a__falls`"):
        (tmp_path / "docs/threat-model.md").write_text(f"x\n{wrong}\n")
        status, said = house_rules(tmp_path)
        assert status == 1
        assert "docs/threat-model.md:2: named-test: there is no " in said


def test_house_rules__waiver_exempts_its_rule_only(tmp_path):
    waiver = "/* house-rules: allow allocation: the library hands out malloc'ed memory */"
    write_tree(tmp_path, {"src/pki/a.c": f"{OPENING}{waiver}\nvoid f(void *p) {{ free(p); }}\n"})
    assert house_rules(tmp_path)[0] == 0
    write_tree(tmp_path, {"src/pki/a.c": f"{OPENING}{waiver}\nvoid f(char *p) {{ strcat(p, p); }}\n"})
    assert house_rules(tmp_path)[0] == 1


def test_house_rules__sees_what_the_keeper_links(tmp_path):
    source = tmp_path / "k.c"
    source.write_text("int main(void) { return 0; }\n")
    program = str(tmp_path / "coffer-keeper")
    subprocess.run(["gcc", "-o", program, str(source)], check=True)
    assert house_rules(tmp_path, "--keeper", program)[0] == 0
    subprocess.run(["gcc", "-o", program, str(source), "-Wl,--no-as-needed", "-lexpat"], check=True)
    status, said = house_rules(tmp_path, "--keeper", program)
    assert status == 1
    assert "keeper-links: libexpat.so.1" in said
