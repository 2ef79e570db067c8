/*
 * For transfer.c only: tables of base64 (RFC 4648 section 4), a few kilobytes that the first-level
 * cache holds. Written out by the preprocessor.
 */
#ifndef COFFER_FORMAT_BASE64_TABLES_H
#define COFFER_FORMAT_BASE64_TABLES_H

#include <stdint.h>

/* Value of a base64 character, 64 for padding, 65 for white space, 66 for anything else. */
enum { BASE64_PAD = 64, BASE64_SPACE = 65, BASE64_BAD = 66 };

#define P_     BASE64_PAD
#define S_     BASE64_SPACE
#define B_     BASE64_BAD
#define B8(X)  X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_)
#define B32(X) B8(X), B8(X), B8(X), B8(X)
/* clang-format off */
#define BASE64_VALUES(X)                                                                           \
    B8(X), X(B_), X(S_), X(S_), X(B_), X(B_), X(S_), X(B_), X(B_), B8(X), B8(X),                   \
    X(S_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(B_), X(62), X(B_), X(B_), X(B_), X(63), \
    X(52), X(53), X(54), X(55), X(56), X(57), X(58), X(59), X(60), X(61), X(B_), X(B_), X(B_), X(P_), X(B_), X(B_), \
    X(B_), X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), \
    X(15), X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(B_), X(B_), X(B_), X(B_), X(B_), \
    X(B_), X(26), X(27), X(28), X(29), X(30), X(31), X(32), X(33), X(34), X(35), X(36), X(37), X(38), X(39), X(40), \
    X(41), X(42), X(43), X(44), X(45), X(46), X(47), X(48), X(49), X(50), X(51), X(B_), X(B_), X(B_), X(B_), X(B_), \
    B32(X), B32(X), B32(X), B32(X)
/* clang-format on */

#define VALUE(v) v
static const uint8_t base64_values[256] = {BASE64_VALUES(VALUE)};

/* The same at each of a group's four places, with a bit beyond the group for no value. */
#define BASE64_NONE UINT32_C(0x1000000)
#define PLACE0(v)   ((v) < 64 ? (uint32_t)(v) << 18 : BASE64_NONE)
#define PLACE1(v)   ((v) < 64 ? (uint32_t)(v) << 12 : BASE64_NONE)
#define PLACE2(v)   ((v) < 64 ? (uint32_t)(v) << 6 : BASE64_NONE)
#define PLACE3(v)   ((v) < 64 ? (uint32_t)(v) : BASE64_NONE)
static const uint32_t base64_places[4][256] = {{BASE64_VALUES(PLACE0)},
                                               {BASE64_VALUES(PLACE1)},
                                               {BASE64_VALUES(PLACE2)},
                                               {BASE64_VALUES(PLACE3)}};

/* Two characters for each twelve bits. */
/* clang-format off */
#define LETTERS(X, a)                                                                              \
    X(a, 'A'), X(a, 'B'), X(a, 'C'), X(a, 'D'), X(a, 'E'), X(a, 'F'), X(a, 'G'), X(a, 'H'),        \
    X(a, 'I'), X(a, 'J'), X(a, 'K'), X(a, 'L'), X(a, 'M'), X(a, 'N'), X(a, 'O'), X(a, 'P'),        \
    X(a, 'Q'), X(a, 'R'), X(a, 'S'), X(a, 'T'), X(a, 'U'), X(a, 'V'), X(a, 'W'), X(a, 'X'),        \
    X(a, 'Y'), X(a, 'Z'), X(a, 'a'), X(a, 'b'), X(a, 'c'), X(a, 'd'), X(a, 'e'), X(a, 'f'),        \
    X(a, 'g'), X(a, 'h'), X(a, 'i'), X(a, 'j'), X(a, 'k'), X(a, 'l'), X(a, 'm'), X(a, 'n'),        \
    X(a, 'o'), X(a, 'p'), X(a, 'q'), X(a, 'r'), X(a, 's'), X(a, 't'), X(a, 'u'), X(a, 'v'),        \
    X(a, 'w'), X(a, 'x'), X(a, 'y'), X(a, 'z'), X(a, '0'), X(a, '1'), X(a, '2'), X(a, '3'),        \
    X(a, '4'), X(a, '5'), X(a, '6'), X(a, '7'), X(a, '8'), X(a, '9'), X(a, '+'), X(a, '/')
#define PAIR(a, b) {a, b}
#define ROW(a) LETTERS(PAIR, a)
static const char base64_pairs[4096][2] = {
    ROW('A'), ROW('B'), ROW('C'), ROW('D'), ROW('E'), ROW('F'), ROW('G'), ROW('H'), ROW('I'),
    ROW('J'), ROW('K'), ROW('L'), ROW('M'), ROW('N'), ROW('O'), ROW('P'), ROW('Q'), ROW('R'),
    ROW('S'), ROW('T'), ROW('U'), ROW('V'), ROW('W'), ROW('X'), ROW('Y'), ROW('Z'), ROW('a'),
    ROW('b'), ROW('c'), ROW('d'), ROW('e'), ROW('f'), ROW('g'), ROW('h'), ROW('i'), ROW('j'),
    ROW('k'), ROW('l'), ROW('m'), ROW('n'), ROW('o'), ROW('p'), ROW('q'), ROW('r'), ROW('s'),
    ROW('t'), ROW('u'), ROW('v'), ROW('w'), ROW('x'), ROW('y'), ROW('z'), ROW('0'), ROW('1'),
    ROW('2'), ROW('3'), ROW('4'), ROW('5'), ROW('6'), ROW('7'), ROW('8'), ROW('9'), ROW('+'),
    ROW('/')};
/* clang-format on */

#endif
