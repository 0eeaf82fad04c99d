"""How right `was_it_the_box` is, measured on made cases whose truth is known because a simulator executed them.

A trace is executed second by second against the truth of its boxes (`world`, `program`): cores are shared by weight, a
disk serves so many requests at once, a task whose pages were thrown out waits for the disk. What the boxes and the
trace did goes as OTLP protobuf through the project's own way in (`path`), and the tool is asked. Nothing but `path`
knows the project, and nothing knows its diagnosis: an import contract holds that.

**Truth.** The same trace is executed once more on the same boxes without what is not usual there. With d, d_calm and
d_usual (the median of its earlier runs) the share of the slow-down that the box caused is ln(d / d_calm) /
ln(d / d_usual): `yes` from .6, `partly` from .2, else `no`; `no` too when d < 1.5 d_usual. A killed trace is the box's
when memory ran out (`yes`, whoever took it), else `no`. A failed trace is the box's when it would not have failed on
the calm box. The name of the family never decides.

**Figures.**

- accepted: the verdict is the truth; within .1 of a border of the share both sides count; where the data cannot decide
  by any method, the rules of `label.RULES` accept more (a false blame of the innocent is never among them).
- exact: the verdict is the truth, without any of that.
- false yes: said yes, of those whose truth is no. false no: said no, of those whose truth is yes.
- abstained: said cannot_tell, of all, rightly or not.
- own or not: of the same, whether the service itself was told from everybody else (two classes).
- origin, resource: named rightly (neighbour, own workload, hypervisor; unknown is right where nothing the box sends
  tells), of those called yes whose truth is yes or partly. Disk and memory stand for each other where it pages.
- sure right: accepted, of those said with a confidence of .9 or more.

Each overall, by family, and as the mean over families, with n.

**Seeds.** The engine is worked on with the development seeds only; the held-out ones are for measuring.
"""

DEVELOPMENT = range(1, 100)
HELD_OUT = range(1000, 1100)
