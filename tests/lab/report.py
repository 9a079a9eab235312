# SPDX-License-Identifier: MIT
"""What a run came to: a table for people, a line of JSON, and a plot."""
import json
import os
import re

ROWS = [  # (figure, what it is called)
    ("bounces_to_innocents", "bounces to innocents"),
    ("bounces_by_forwarders", "  of this, by a forwarder that was refused"),
    ("lost_silently", "legitimate mail lost silently"),
    ("legitimate_delivered", "legitimate mail delivered"),
    ("legitimate_told", "legitimate mail whose sender was told"),
    ("legitimate_quarantined", "legitimate mail in a quarantine that is read"),
    ("legitimate_dropped_by_consent", "legitimate mail dropped as its recipient asked"),
    ("spam_delivered", "spam delivered"),
    ("spam_delivered_marked", "  of this, marked"),
    ("spam_forwarded", "spam forwarded"),
    ("spam_quarantined", "spam quarantined"),
    ("spam_refused", "spam refused"),
    ("spam_bounced", "spam bounced"),
    ("spam_discarded", "spam discarded"),
    ("bytes_from_spammers", "bytes received from spammers"),
    ("deferrals", "deferrals to legitimate senders"),
    ("delay_median_s", "delay of legitimate mail, median, s"),
    ("delay_95_s", "delay of legitimate mail, 95 %, s"),
    ("arrived_twice", "copies that arrived twice"),
    ("told_though_delivered", "senders told of a failure that was none"),
    ("copies", "copies in all"),
    ("unaccounted", "unaccounted for"),
]


def table(accounts):
    figures = [a.figures() for a in accounts]
    lines = [[""] + [a.name for a in accounts]]
    lines += [[title] + ["%s" % f[name] for f in figures] for name, title in ROWS]
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width[0]) if not i else cell.rjust(width[i]) for i, cell in enumerate(line))
                     for line in lines)


def page_table(accounts):
    figures = [a.figures() for a in accounts]
    lines = ["| | " + " | ".join("`%s`" % a.name for a in accounts) + " |", "|---|" + "---:|" * len(accounts)]
    for name, title in ROWS:
        title = "&nbsp;&nbsp;" + title.strip() if title.startswith(" ") else title
        lines.append("| %s | %s |" % (title, " | ".join("%s" % f[name] for f in figures)))
    return "\n".join(lines)


def write(folder, accounts, messages, seed):
    """The plot, and the table between its marks in the page."""
    with open(os.path.join(folder, "lab.svg"), "w", encoding="ascii") as f:
        f.write(plot(accounts))
    path = os.path.join(folder, "lab.md")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    mark = "<!-- `./bootstrap lab --mail %d --seed %d --docs docs/guide` writes this table -->" % (messages, seed)
    text = re.sub(r"<!-- [^>]* writes this table -->\n.*?<!-- end -->", lambda _: "%s\n%s\n<!-- end -->" % (mark, page_table(accounts)),
                  text, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def one_line(accounts, **rest):
    return json.dumps({"name": "lab", **{a.name: a.figures() for a in accounts}, **rest})


# ---- the plot --------------------------------------------------------------------------------------------------------

PARTS = [  # of each bar: (figure, colour, words)
    ("legitimate", [("legitimate_delivered", "#4c9f70", "delivered"), ("legitimate_told", "#a8d5ba", "sender told"),
                    ("legitimate_quarantined", "#f2c14e", "quarantine, read"),
                    ("legitimate_dropped_by_consent", "#c9c9c9", "dropped, as asked"), ("lost_silently", "#b3261e", "lost silently")]),
    ("spam", [("spam_refused", "#4c9f70", "refused"), ("spam_quarantined", "#f2c14e", "quarantined"),
              ("spam_discarded", "#c9c9c9", "discarded"), ("spam_delivered", "#7b8794", "delivered"),
              ("spam_forwarded", "#5b6b9a", "forwarded"), ("spam_bounced", "#b3261e", "bounced")]),
]


def bar(x, y, width, height, parts, figures):
    total, out = sum(figures[name] for name, _, _ in parts) or 1, []
    for name, colour, words in parts:
        w = width * figures[name] / total
        if w:
            out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>%s: %d</title></rect>' % (
                x, y, w, height, colour, words, figures[name]))
        if w > 18:
            out.append('<text x="%.1f" y="%d" text-anchor="middle" font-size="11">%d</text>' % (x + w / 2, y + height - 6, figures[name]))
        x += w
    return out


def plot(accounts):
    """An SVG: for each arrangement what became of legitimate mail and of spam, and what reached innocents."""
    left, width, height, y = 190, 520, 20, 56
    out = ['<text x="20" y="24" font-size="15">The same mail through four arrangements</text>']
    for title, parts in PARTS:
        out.append('<text x="20" y="%d" font-weight="bold">%s</text>' % (y, "Legitimate mail" if title == "legitimate" else "Spam"))
        y += 8
        for a in accounts:
            out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (left - 8, y + 15, a.name))
            out += bar(left, y, width, height, parts, a.figures())
            y += height + 4
        x = left
        for _, colour, words in parts:
            out.append('<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d" font-size="10">%s</text>' % (
                x, y + 4, colour, x + 13, y + 13, words))
            x += 26 + 6 * len(words)
        y += 44
    out.append('<text x="20" y="%d" font-weight="bold">Bounces to innocents</text>' % y)
    y += 8
    most = max([a.figures()["bounces_to_innocents"] for a in accounts] + [1])
    for a in accounts:
        n = a.figures()["bounces_to_innocents"]
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (left - 8, y + 15, a.name))
        out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="#b3261e"/>' % (left, y, (width - 40) * n / most, height))
        out.append('<text x="%.1f" y="%d">%d</text>' % (left + (width - 40) * n / most + 6, y + 15, n))
        y += height + 4
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 730 %d" font-family="sans-serif" font-size="12">' % (y + 12)
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>'] + out + ["</svg>", ""])
