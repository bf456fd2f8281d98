"""Texts that break what glues text together."""

HOSTILE = (
    'quote " and \\ backslash',
    "<script>alert(1)</script>",
    "two\nlines\r\nand\ttab",
    "javascript:alert(1)",
    "'; DROP TABLE nodes; --",
    "]]> --> <!-- &amp; &#x41; &nbsp;",
    "nul \x00 bell \x07 escape \x1b[31m",
    "{{7*7}} ${x} %s %(y)s",
    "| pipe ` tick * star _ under # hash [link](javascript:x)",
    "名前 🙂 \u202etxt.exe \u200b",
    "\\N \\G \\l <b>bold</b>",
    "</svg></script><img src=x onerror=alert(1)>",
    " ",
    "x" * 700,
)
