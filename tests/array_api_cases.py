"""Special values of elementwise functions, by the rules of the Python Array API standard 2025.12.

A row of `ONE` is a function and what it gives: `x>y`. A row of `TWO` has the first operand, then
`x2>y` for second operands. Letters stand for several numbers:

    p, n        positive and negative finite numbers that are not whole
    P, N        positive and negative numbers and infinities
    z           0 and -0
    f           finite numbers, both zeros among them
    a           all numbers: finite ones and infinities
    x           (as a result) the first operand
    y           (as a result) the second operand
    o, e, h     positive odd whole, positive even whole, and positive fractional numbers; -o, -e, -h
    big, small  numbers above and below 1, positive ones; -big, -small
    +, -        (as a result) whatever has that sign bit and is not NaN
"""

PARTS = {
    "p": (0.5, 1.25, 6.5), "n": (-0.5, -1.25, -6.5), "z": (0.0, -0.0),
    "P": (0.5, 3.0, "inf"), "N": (-0.5, -3.0, "-inf"),
    "f": (0.0, -0.0, 0.5, -3.0, 7.0), "a": (0.0, -0.0, 0.5, -3.0, 7.0, "inf", "-inf"),
    "o": (1.0, 3.0, 31.0), "e": (2.0, 4.0, 32.0), "h": (0.5, 1.5, 2.25),
    "-o": (-1.0, -3.0, -31.0), "-e": (-2.0, -4.0, -32.0), "-h": (-0.5, -1.5, -2.25),
    "big": (1.5, 2.0, 40.0, "inf"), "small": (0.0, 0.25, 0.75),
    "-big": (-1.5, -2.0, -40.0, "-inf"), "-small": (-0.0, -0.25, -0.75),
}  # fmt: skip

ONE = """
abs          nan>nan  -0>0  0>0  -inf>inf  inf>inf
acos         nan>nan  big>nan  -big>nan  1>0  -1>pi
acosh        nan>nan  small>nan  -small>nan  N>nan  1>0  inf>inf
asin         nan>nan  big>nan  -big>nan  0>0  -0>-0
asinh        nan>nan  0>0  -0>-0  inf>inf  -inf>-inf
atan         nan>nan  0>0  -0>-0  inf>pi/2  -inf>-pi/2
atanh        nan>nan  big>nan  -big>nan  1>inf  -1>-inf  0>0  -0>-0
ceil         nan>nan  o>x  -e>x  inf>inf  -inf>-inf  0>0  -0>-0  -0.5>-0
cos          nan>nan  z>1  inf>nan  -inf>nan
cosh         nan>nan  z>1  inf>inf  -inf>inf
exp          nan>nan  z>1  inf>inf  -inf>0
expm1        nan>nan  0>0  -0>-0  inf>inf  -inf>-1
floor        nan>nan  o>x  -e>x  inf>inf  -inf>-inf  0>0  -0>-0  0.5>0
isfinite     nan>0  inf>0  -inf>0  f>1
isinf        nan>0  inf>1  -inf>1  f>0
isnan        nan>1  a>0
log          nan>nan  N>nan  z>-inf  1>0  inf>inf
log10        nan>nan  N>nan  z>-inf  1>0  inf>inf
log1p        nan>nan  -big>nan  -1>-inf  0>0  -0>-0  inf>inf
log2         nan>nan  N>nan  z>-inf  1>0  inf>inf  8>3
negative     nan>nan  0>-0  -0>0  inf>-inf  -inf>inf
positive     nan>nan  a>x
reciprocal   nan>nan  0>inf  -0>-inf  inf>0  -inf>-0
round        nan>nan  o>x  -e>x  inf>inf  -inf>-inf  0>0  -0>-0  0.5>0  1.5>2  2.5>2  -0.5>-0
sign         nan>nan  P>1  N>-1  0>0  -0>0
signbit      0>0  -0>1  P>0  N>1
sin          nan>nan  0>0  -0>-0  inf>nan  -inf>nan
sinh         nan>nan  0>0  -0>-0  inf>inf  -inf>-inf
sqrt         nan>nan  N>nan  0>0  -0>-0  inf>inf
square       nan>nan  z>0  inf>inf  -inf>inf
tan          nan>nan  0>0  -0>-0  inf>nan  -inf>nan
tanh         nan>nan  0>0  -0>-0  inf>1  -inf>-1
trunc        nan>nan  o>x  -e>x  inf>inf  -inf>-inf  0>0  -0>-0  0.5>0  -0.5>-0
"""

TWO = """
add           nan   nan>nan  a>nan
add           a     nan>nan
add           inf   -inf>nan  inf>inf  f>inf
add           -inf  inf>nan  -inf>-inf  f>-inf
add           f     inf>inf  -inf>-inf
add           -0    -0>-0  0>0  p>y  n>y
add           0     -0>0  0>0  p>y  n>y
add           p     z>x
add           2.5   -2.5>0
subtract      inf   inf>nan  -inf>inf  f>inf
subtract      -0    0>-0  -0>0
subtract      p     z>x
atan2         nan   nan>nan  a>nan
atan2         a     nan>nan
atan2         P     z>pi/2
atan2         0     P>0  0>0  -0>pi  N>pi
atan2         -0    P>-0  0>-0  -0>-pi  N>-pi
atan2         N     z>-pi/2
atan2         p     inf>0  -inf>pi
atan2         n     inf>-0  -inf>-pi
atan2         inf   f>pi/2  inf>pi/4  -inf>3pi/4
atan2         -inf  f>-pi/2  inf>-pi/4  -inf>-3pi/4
copysign      2.5   N>-2.5  -0>-2.5  0>2.5  P>2.5
copysign      -2.5  N>-2.5  -0>-2.5  0>2.5  P>2.5
copysign      nan   a>nan
divide        nan   nan>nan  a>nan
divide        a     nan>nan
divide        inf   inf>nan  -inf>nan  p>inf  n>-inf  0>inf  -0>-inf
divide        -inf  inf>nan  -inf>nan  p>-inf  n>inf  0>-inf  -0>inf
divide        0     z>nan  P>0  N>-0
divide        -0    z>nan  P>-0  N>0
divide        p     0>inf  -0>-inf  inf>0  -inf>-0  p>+  n>-
divide        n     0>-inf  -0>inf  inf>-0  -inf>0  p>-  n>+
floor_divide  nan   nan>nan  a>nan
floor_divide  a     nan>nan
floor_divide  inf   inf>nan  -inf>nan  p>inf  n>-inf  0>inf  -0>-inf
floor_divide  -inf  inf>nan  -inf>nan  p>-inf  n>inf  0>-inf  -0>inf
floor_divide  0     z>nan  P>0  N>-0
floor_divide  -0    z>nan  P>-0  N>0
floor_divide  p     0>inf  -0>-inf  inf>0  -inf>-0  p>+  n>-
floor_divide  n     0>-inf  -0>inf  inf>-0  -inf>0  p>-  n>+
floor_divide  7     2>3  -2>-4
floor_divide  -7    2>-4  -2>3
hypot         inf   a>inf  nan>inf
hypot         -inf  a>inf  nan>inf
hypot         f     inf>inf  -inf>inf  nan>nan
hypot         nan   inf>inf  -inf>inf  f>nan
hypot         z     z>0
logaddexp     nan   nan>nan  a>nan
logaddexp     a     nan>nan
logaddexp     inf   a>inf
logaddexp     a     inf>inf
logaddexp     -inf  -inf>-inf  p>y  n>y
maximum       nan   nan>nan  a>nan
maximum       a     nan>nan
maximum       f     inf>inf  -inf>x
minimum       nan   nan>nan  a>nan
minimum       a     nan>nan
minimum       f     inf>x  -inf>-inf
multiply      nan   nan>nan  a>nan
multiply      a     nan>nan
multiply      inf   z>nan  inf>inf  -inf>-inf  p>inf  n>-inf
multiply      -inf  z>nan  inf>-inf  -inf>inf  p>-inf  n>inf
multiply      z     inf>nan  -inf>nan
multiply      p     inf>inf  -inf>-inf  p>+  n>-  0>0  -0>-0
multiply      n     inf>-inf  -inf>inf  p>-  n>+  0>-0  -0>0
nextafter     nan   nan>nan  a>nan
nextafter     a     nan>nan
nextafter     -0    0>0
nextafter     0     -0>-0
nextafter     p     p>+
pow           nan   z>1  P>nan  N>nan  nan>nan
pow           a     z>1
pow           big   nan>nan  inf>inf  -inf>0
pow           -big  nan>nan  inf>inf  -inf>0
pow           small nan>nan  inf>0  -inf>inf
pow           -small nan>nan  inf>0  -inf>inf
pow           1     a>1  nan>1
pow           -1    inf>1  -inf>1  nan>nan
pow           inf   P>inf  N>0
pow           -inf  o>-inf  e>inf  h>inf  inf>inf  -o>-0  -e>0  -h>0  -inf>0
pow           0     P>0  N>inf
pow           -0    o>-0  e>0  h>0  -o>-inf  -e>inf  -h>inf
pow           n     h>nan  -h>nan
remainder     nan   nan>nan  a>nan
remainder     a     nan>nan
remainder     inf   a>nan
remainder     -inf  a>nan
remainder     0     z>nan  P>0  N>-0
remainder     -0    z>nan  P>0  N>-0
remainder     p     z>nan  inf>x  -inf>y
remainder     n     z>nan  inf>y  -inf>x
remainder     7     3>1  -3>-2
remainder     -7    3>2  -3>-1
equal         nan   nan>0  a>0
equal         0     -0>1
not_equal     nan   nan>1  a>1
less          nan   nan>0  a>0
less          -0    0>0
less          -inf  f>1  inf>1  -inf>0
less_equal    nan   nan>0  a>0
less_equal    0     -0>1
greater       nan   nan>0  a>0
greater       inf   f>1  -inf>1  inf>0
greater_equal nan   nan>0  a>0
greater_equal -0    0>1
"""

Row = tuple[tuple[str, ...], str]  # operands, result


def rows(table: str, operands: int) -> dict[str, list[Row]]:
    """Function → rows of operands and a result, letters replaced by numbers."""
    found: dict[str, list[Row]] = {}
    for line in table.strip().splitlines():
        name, *words = line.split()
        firsts = () if operands == 1 else parts(words.pop(0))
        for word in words:
            given, result = word.split(">")
            for last in parts(given):
                for first in firsts or (None,):
                    row = (last,) if first is None else (first, last)
                    value = {"x": row[0], "y": last}.get(result, result)
                    found.setdefault(name, []).append((row, value))
    return found


def parts(word: str) -> tuple[str, ...]:
    return tuple(str(value) for value in PARTS.get(word, (word,)))
