"""From a graph of one network to C in which every number is a vector of 16: a lane is a replica.

1. Some nodes of the graph are stored: reductions, results, and what would otherwise be computed more than once. Each
   is a statement, a nest of loops over its elements. All others are written into their readers (`operations.py`).
2. Statements are put into one loop where each turn needs only what the same turn has made (`_fuse`), so that a pass
   over the batch is one loop, and what nobody reads outside of a loop lives within it, mostly in a register (`_house`).
3. The nests are printed.

A sum over the batch with few results is taken along the way of that loop; any other in a loop of its own. In either
case its terms are added in the order of their index, one lane never meets another, and so the bits of a replica depend
on nothing but its own numbers.

An example: one step of gradient descent on the squared error of `(torch.tanh(w) * x).sum(-1, keepdim=True)`, with two
weights and a batch of eight. Its graph, in which c is the learning rate::

    tanh = tanh(w)               sub = sub(sum_1, y)         mul_3 = mul(expand, x)     mul_5 = mul(view, rsub)
    mul = mul(tanh, x)           pow_1 = pow(sub, 2)         sum_2 = sum(mul_3, 0)      mul_6 = mul(c, mul_5)
    sum_1 = sum(mul, -1)         mean = mean(pow_1)          mul_4 = mul(tanh, tanh)    sub_2 = sub(w, mul_6)
                                 mul_1 = mul(sub, 0.25)      rsub = 1 - mul_4

tanh, sum_1, sub, mean, mul_1, sum_2 and sub_2 are stored, the rest is written into them; sub_2 is the new w, mean the
loss. The loop over the batch holds what depends on it, and only the sums leave it. (What is added to the gradient and
taken away again is `nalu.engine.optimisers.settled`.) In C::

    for (int i = 0; i < 2; i++) {
      a0[i] = vtanh(w_[i]);
    }
    out[0] = all(0.0f);
    for (int q = 0; q < 2; q++) a5[q] = all(0.0f);
    for (int i = 0; i < 8; i++) {
      V a1, a2, a4;
      a1 = a0[0] * x[2 * i] + a0[1] * x[2 * i + 1];
      a2 = a1 - y[i];
      out[0] = out[0] + a2 * a2;
      a4 = a2 * 0.25f;
      for (int j = 0; j < 2; j++) {
        a5[j] = a5[j] + a4 * x[j + 2 * i];
      }
    }
    out[0] = out[0] * 0.125f;
    for (int i = 0; i < 2; i++) {
      w_[i] = w_[i] - rate * (a5[i] * (1.0f - a0[i] * a0[i]) + 5.82076609e-11f - 5.82076609e-11f);
    }
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import fx

from nalu.engine import expression as c
from nalu.engine.expression import Expression
from nalu.engine.index import Index, Loop, flat, unflat
from nalu.engine.operations import (
    COMBINED,
    CONSTANTS,
    COSTLY,
    CUTS,
    ELEMENTWISE,
    LOOKUP,
    PRODUCTS,
    REDUCTIONS,
    SCATTER,
    VIEWS,
    Place,
    check,
    looked_up,
    loops,
    name,
    reduced,
    shape,
    term,
)  # fmt: skip
from nalu.engine.optimisers import MOMENT
from nalu.engine.tracing import Unknown

ALONG = 8
"""Sums with so few results are taken along the loop over what they add up; more would not stay in registers."""

WRITTEN_OUT = 4
"""Sums of so few terms are written as one expression."""

UNROLLED = 16
"""Sums of so few terms are unrolled by the compiler."""

LANES = 16
"""Replicas side by side: a vector of the C."""

SMALL = 16
"""Arrays of so many vectors live on the stack, even outside of all loops."""

OFTEN = 32
"""What is elementwise and read more often than this is settled first: one number below the normal ones, such as the
gradient behind a saturated function, would slow all these readings down a hundredfold."""

LONGEST = 1500
"""Statements of one C function: beyond, compiling takes longer than it saves."""

HEADERS = tuple(
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("functions.h", "streams.h", "kernel.h")
)
"""C that goes in front of what is emitted here."""

KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while"""

DEFINED = re.compile(r"([A-Za-z_]\w*)\(|#define (\w+)|typedef [\w ]+? (\w+)[ ;]")

RESERVED = frozenset(name for found in DEFINED.findall("\n".join(HEADERS)) for name in found if name)
RESERVED |= frozenset(f"{KEYWORDS} P X Y S c i j k l m n r s t u v w q out steps own shared total".split())
"""What no parameter can be called in C."""


@dataclass(eq=False)
class Statement:
    """A node that is stored, as loops over its elements.

    Attributes:
        loops: outermost first.
        over: the axes that a reduction adds up, None where an axis has size 1.
        along: whether it is added up along the outermost loop, which is its first axis then.
        out: the element that a turn writes.
        part: what it stores of a node that joins several.
        slot: the input that it becomes, or where in the outputs it starts.
        reads: (array, element) for each number that it reads.
    """

    node: fx.Node
    loops: list[Loop]
    place: Place
    over: list[Loop | None]
    along: bool
    out: Index
    part: fx.Node | None = None
    slot: fx.Node | int | None = None
    copies: bool = False
    reads: list[tuple[fx.Node, Index]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return math.prod(shape(self.node))


@dataclass(eq=False)
class Nest:
    """Statements in one loop; or, where there is no loop, a single statement."""

    loop: Loop | None
    members: list[Statement]
    inner: "list[Nest]" = field(default_factory=list)


class Emitter:
    """C of a function of one network.

    Args:
        graph: whose placeholders are, in this order: the state, data of each replica, data that all share, and numbers.
            The first outputs are the state afterwards, as many as are updated; all others are stored one behind the
            other.
        state, own, shared: names of these placeholders in C; whatever is left are numbers.
        numbers: their names.
        updated: how many placeholders of the state the function changes.
        batch: the size of the axis that makes the longest loops.
        single: float32 or float64.

    Attributes:
        state_size, own_size, shared_size, out_size, scratch_size: how many numbers these are.

    Raises:
        Unknown: an operation that has no C here, or a graph too long for a function.
    """

    def __init__(
        self,
        graph: fx.Graph,
        *,
        state: Sequence[str],
        own: Sequence[str] = (),
        shared: Sequence[str] = (),
        numbers: Sequence[str] = (),
        updated: int = 0,
        batch: int = 1,
        single: bool = True,
    ) -> None:
        self.graph, self.batch, self.single = graph, batch, single
        places = list(graph.find_nodes(op="placeholder"))
        names = _names([*state, *own, *shared, *numbers])
        self.names = dict(zip(places, names, strict=True))
        first, second, third = len(state), len(state) + len(own), len(state) + len(own) + len(shared)
        self.state, self.own, self.shared, self.numbers = (
            places[:first], places[first:second], places[second:third], places[third:]
        )  # fmt: skip
        for node in graph.nodes:
            if node.op == "call_function":
                check(node)
        self.offsets: dict[fx.Node, int] = {}
        self.state_size, self.own_size, self.shared_size = map(self._lay_out, (self.state, self.own, self.shared))
        (output,) = graph.find_nodes(op="output")
        self.updated, self.results = self.state[:updated], list(output.args[0])
        self._reading: list[tuple[fx.Node, Index]] = []
        self._homes: dict[fx.Node, tuple[str, Sequence[str]]] = {}
        self._wide = False
        self._plan()
        self._write()
        self._tree = self._fuse(self._order(), 0)
        self._house()

    def _lay_out(self, nodes: list[fx.Node]) -> int:
        at = 0
        for node in nodes:
            self.offsets[node] = at
            at += math.prod(shape(node))
        return at

    # 1. What is stored.

    def _plan(self) -> None:
        """Choose the nodes that are stored, and where results go."""
        self.slots: dict[fx.Node, fx.Node | int] = {}
        self.copies: list[tuple[fx.Node, fx.Node | int]] = []
        targets: list[fx.Node | int] = list(self.updated)
        self.out_size = 0
        for result in self.results[len(self.updated) :]:
            targets.append(self.out_size)
            self.out_size += math.prod(shape(result))
        for result, target in zip(self.results, targets, strict=True):
            if result is target:
                continue
            plain = result.op == "call_function" and name(result) not in VIEWS and name(result) not in CONSTANTS
            if plain and result not in self.slots and not self._needed_later(result, target):
                self.slots[result] = target
            elif result in self.updated:
                raise Unknown("a step in which one part of the state becomes another")
            else:
                self.copies.append((result, target))
        # How often an element of each node would be computed if nothing but reductions and results were stored.
        self.common = self._find_common()
        times = dict.fromkeys(self.graph.nodes, 0.0)
        for result, _ in self.copies:
            times[result] += math.prod(shape(result))
        # What is copied in the end is computed before: by then, what it is made of may have changed.
        copied = {result for result, _ in self.copies}
        self.stored: set[fx.Node] = set()
        self._often: set[fx.Node] = set()
        unknown = None
        for node in reversed(self.graph.nodes):
            if node.op != "call_function" or name(node) in CONSTANTS:
                continue
            kind = name(node)
            if kind in CUTS:
                times[node.args[0]] += times[node]
                continue
            if node in self.common:
                self.stored.add(node)
                continue
            size = math.prod(shape(node))
            if kind == LOOKUP:  # of any row, so all must be there
                times[node.args[0]] = math.inf
                times[node.args[1]] += times[node] / max(shape(node)[-1], 1)
                self._check_table(node.args[0])
                continue
            again = times[node] > size and kind not in VIEWS
            joined = kind in ("cat", "stack") and times[node] > 2 * size
            if kind in REDUCTIONS or kind == SCATTER or node in self.slots or node in copied or again or joined:
                self.stored.add(node)
            if not any(kind in known for known in (VIEWS, ELEMENTWISE, REDUCTIONS, (SCATTER,))):
                unknown = node  # the first one in the end, which is the reader's, and not of its gradient
            if times[node] > OFTEN * size:
                self._often.add(node)
            own = size if node in self.stored else times[node]
            for source in node.all_input_nodes:
                if kind in PRODUCTS:
                    bias = kind == "addmm" and source is node.args[0]
                    times[source] += size if bias else size * reduced(node)[0]
                elif kind in REDUCTIONS or kind == SCATTER:
                    times[source] += math.prod(shape(source))
                else:
                    times[source] += own / len(node.args[0]) if kind in ("cat", "stack") else own
        if unknown is not None:
            raise Unknown(f"{unknown.target}")

    def _find_common(self) -> set[fx.Node]:
        """Costly functions of nothing but data that all replicas share: computed once, sixteen elements at a time."""
        known, costly = set(self.shared), set()
        for node in self.graph.nodes:
            if node.op != "call_function" or name(node) not in ELEMENTWISE or node.meta["val"].dtype == torch.bool:
                continue
            sources = node.all_input_nodes
            single = [n for n in sources if n in self.numbers or (n.op == "call_function" and name(n) in CONSTANTS)]
            data = [n for n in sources if n not in single]
            if data and all(n in known and shape(n) == shape(node) for n in data):
                known.add(node)
                if name(node) in COSTLY or any(n in costly for n in data):
                    costly.add(node)
        results = set(self.results)
        used = {n for n in costly if n not in results and any(user not in costly for user in n.users)}
        return {n for n in used if math.prod(shape(n)) >= LANES}

    def _check_table(self, table: fx.Node) -> None:
        if table.op != "placeholder" and name(table) in (*VIEWS, *CONSTANTS):
            raise Unknown(f"{LOOKUP} of {table.target}")

    def _needed_later(self, node: fx.Node, target: fx.Node | int) -> bool:
        """Whether what a result overwrites is still read after it."""
        if isinstance(target, int):
            return False
        order = {n: k for k, n in enumerate(self.graph.nodes)}
        return any(order[reader] > order[node] for reader in self._readers(target, node))

    def _readers(self, node: fx.Node, beyond: fx.Node) -> Iterator[fx.Node]:
        """What may read a node's elements when it runs: its users, and theirs, where they are written into these.

        Not the users of `beyond`, which is stored, as is what becomes part of the state.
        """
        for user in node.users:
            if user.op == "call_function":
                yield user
                if user is not beyond and user not in self.slots and name(user) not in REDUCTIONS:
                    yield from self._readers(user, beyond)

    # 2. Statements, their order, and the loops that they share.

    def _write(self) -> None:
        order = [node for node in self.graph.nodes if node in self.stored]
        self.statements = []
        for node in order:
            self.statements += self._joined(node) if name(node) in ("cat", "stack") else [self._statement(node)]
        self.statements += [self._statement(node, copied=target) for node, target in self.copies]
        if len(self.statements) > LONGEST:
            raise Unknown(f"a step of {len(self.statements)} statements, more than {LONGEST}")
        for s in self.statements:
            self._reading = s.reads
            self._value(s)
        self._reading = []
        self._writers: dict[fx.Node, list[Statement]] = {}
        for s in self.statements:
            if not s.copies:
                self._writers.setdefault(s.node, []).append(s)

    def _statement(self, node: fx.Node, copied: fx.Node | int | None = None) -> Statement:
        sizes = shape(node)
        if node in self.common:
            size = math.prod(sizes)
            return Statement(node, [], unflat(Index.of(Loop.named("i", size)), sizes), [], False, Index())
        if copied is None and name(node) == SCATTER:
            slot = self.slots.get(node)
            over = loops(shape(node.args[0]), "rstuvw")
            return Statement(node, [], (), over, False, Index(), slot=slot)
        if copied is not None or name(node) not in REDUCTIONS:
            along, over, found = False, [], loops(sizes, "ijklmn")
            place = tuple(map(Index.of, found))
        else:
            over = loops(reduced(node), "rstuwv")
            along = self._along(node)
            found = loops(sizes, "jklmn" if along else "ijklmn")
            place = tuple(map(Index.of, found))
            if along:
                found, over = [Loop.named("i", over[0].size), *found], [Loop.named("i", over[0].size), *over[1:]]
        out = flat(place, sizes)
        slot = copied if copied is not None else self.slots.get(node)
        return Statement(node, [x for x in found if x], place, over, along, out, None, slot, copied is not None)

    def _joined(self, node: fx.Node) -> list[Statement]:
        """A statement for each part of what is joined: there is nothing to choose in its loops."""
        sizes, statements, start = shape(node), [], 0
        d = (node.args[1] if len(node.args) > 1 else 0) % len(sizes)
        for part in node.args[0]:
            found = loops(shape(part), "ijklmn")
            place = tuple(map(Index.of, found))
            if name(node) == "stack":
                whole, step = (*place[:d], Index(start), *place[d:]), 1
            else:
                whole, step = (*place[:d], place[d] + start, *place[d + 1 :]), shape(part)[d]
            slot = self.slots.get(node)
            out = flat(whole, sizes)
            statements.append(Statement(node, [x for x in found if x], place, [], False, out, part, slot))
            start += step
        return statements

    def _along(self, node: fx.Node) -> bool:
        sizes = reduced(node)
        return bool(sizes) and sizes[0] == self.batch > WRITTEN_OUT and math.prod(shape(node)) <= ALONG

    def _before(self, s: Statement, known: dict[Statement, int]) -> Iterator[tuple[Statement, Index, Index]]:
        """Statements that have a place in `known` and must not follow s, and the elements at which the two meet."""
        for array, at in s.reads:
            for writer in self._writers.get(array, ()):
                if writer in known:
                    yield writer, at, writer.out
        if isinstance(s.slot, fx.Node):  # who reads what it overwrites comes first
            for other in known:
                for array, at in other.reads:
                    if array is s.slot and other is not s:
                        yield other, at, s.out

    def _order(self) -> list[Statement]:
        """First all that can be done before the next pass over the batch, then all that can be done in that pass."""
        waiting = {s: set() for s in self.statements}
        known: dict[Statement, int] = {}
        for k, s in enumerate(self.statements):
            waiting[s] = {other for other, _, _ in self._before(s, known)}
            known[s] = k
        order, in_pass = [], False
        while waiting:
            ready = [s for s, others in waiting.items() if not others and self._passes(s) == in_pass]
            if not ready:
                in_pass = not in_pass
                continue
            chosen = ready[0]
            order.append(chosen)
            del waiting[chosen]
            for others in waiting.values():
                others.discard(chosen)
        return order

    def _passes(self, s: Statement) -> bool:
        return bool(s.loops) and s.loops[0].size == self.batch

    def _fuse(self, statements: Sequence[Statement], depth: int) -> list[Nest]:
        """Put each statement into the first nest that has its loop and in which all that it needs is there in time."""
        nests: list[Nest] = []
        where: dict[Statement, int] = {}
        for s in statements:
            loop = s.loops[depth] if depth < len(s.loops) else None
            first = 0
            for other, here, there in self._before(s, where):
                nest = nests[where[other]]
                together = loop is not None and nest.loop == loop and here.meets(there, loop.text)
                together = together and not (other.along and depth == 0)
                first = max(first, where[other] + (not together))
            found = next((k for k in range(first, len(nests)) if loop is not None and nests[k].loop == loop), None)
            if found is None:
                found = len(nests)
                nests.append(Nest(loop, []))
            nests[found].members.append(s)
            where[s] = found
        for nest in nests:
            if nest.loop is not None:
                nest.inner = self._fuse(nest.members, depth + 1)
        return nests

    def _house(self) -> None:
        """Where each array lives: in its slot, within the innermost loops that it shares with its readers, or apart."""
        paths: dict[Statement, tuple[Nest, ...]] = {}

        def walk(nests: list[Nest], above: tuple[Nest, ...]) -> None:
            for nest in nests:
                if nest.loop is None:
                    paths[nest.members[0]] = above
                else:
                    walk(nest.inner, (*above, nest))

        walk(self._tree, ())
        readers: dict[fx.Node, list[Statement]] = {}
        for s in self.statements:
            for array, _ in s.reads:
                readers.setdefault(array, []).append(s)
        self.scratch_size = 0
        self.scratch: list[tuple[str, int]] = []
        self.locals: dict[Nest | None, list[tuple[str, int]]] = {}
        self.scalars: set[str] = set()
        for number, s in enumerate(self.statements):
            if s.copies:
                continue
            if s.slot is not None:
                self._homes[s.node] = ("out" if isinstance(s.slot, int) else self.names[s.slot], ())
                continue
            if s.node in self._homes:
                continue
            if s.node in self.common:
                self._homes[s.node] = (array := f"a{number}", ())
                self.scratch.append((array, self.scratch_size))
                self.scratch_size += -(-s.size // LANES)
                continue
            common = 0 if s.along else len(paths[s])
            for reader in [*self._writers[s.node], *readers.get(s.node, ())]:
                same = [a is b for a, b in zip(paths[s], paths[reader], strict=False)]
                common = min(common, same.index(False) if False in same else len(same))
            gone = [nest.loop.text for nest in paths[s][:common]]
            size = s.out.coefficient(gone[-1]) if gone else s.size
            array = f"a{number}"
            self._homes[s.node] = (array, gone)
            if size <= SMALL or (gone and size <= 4 * SMALL):
                self.locals.setdefault(paths[s][common - 1] if common else None, []).append((array, size))
                if size == 1:
                    self.scalars.add(array)
            else:
                self.scratch.append((array, self.scratch_size))
                self.scratch_size += size

    # C of an element, as the rules ask for it.

    def element(self, node: fx.Node, place: Place) -> Expression:
        """The number at a place of a node."""
        if node.op == "placeholder":
            if node in self.numbers:
                return Expression(self.names[node], kind="number")
            at = flat(place, shape(node))
            if node in self.state:
                self._reading.append((node, at))
            if node in self.shared:
                return self._of_all(f"{self.names[node]}", at)
            return Expression(f"{self.names[node]}[{at}]")
        if node.op == "get_attr":
            return self._constant(node, place)
        kind = name(node)
        if kind in CONSTANTS:
            return self.literal(CONSTANTS[kind](node))
        if node in self.stored:
            return self._load(node, flat(place, shape(node)))
        return self._compute(node, place)

    def _compute(self, node: fx.Node, place: Place) -> Expression:
        kind = name(node)
        if kind in VIEWS:
            return VIEWS[kind](self, node, place)
        if kind == LOOKUP:
            return looked_up(self, node, place)
        if kind not in ELEMENTWISE:
            raise Unknown(f"{node.target}")
        found = ELEMENTWISE[kind](self, node, *(self.operand(operand, place) for operand in node.args))
        if node.meta["val"].dtype == torch.bool and found.kind != "mask":
            raise Unknown(f"{node.target} of truth values")
        return found

    def operand(self, operand: object, place: Place) -> Expression | None:
        """An operand that is spread over the axes which it lacks."""
        if operand is None:
            return None
        if not isinstance(operand, fx.Node):
            if not isinstance(operand, int | float):
                return operand
            return self.literal(operand)
        sizes = shape(operand)
        place = place[len(place) - len(sizes) :]
        return self.element(operand, tuple(Index() if d == 1 else i for d, i in zip(sizes, place, strict=True)))

    def entry(self, table: fx.Node, token: Expression, j: Index) -> Expression:
        """The number j of the row of a table that a token names."""
        self._reading.append((table, Index.of(Loop("any", math.prod(shape(table)), frozenset()))))
        if table.op != "placeholder" and table not in self._homes:
            return Expression("?")
        array = self.names[table] if table.op == "placeholder" else self._homes[table][0]
        if token.kind == "number":
            return Expression(f"{array}[{shape(table)[-1]} * (int){token.inside(c.ATOM)} + {j}]")
        return Expression(f"gather({array}, {token.text}, {shape(table)[-1]}, {j})")

    def literal(self, x: float) -> Expression:
        return c.literal(x, self.single)

    def _constant(self, node: fx.Node, place: Place) -> Expression:
        value = getattr(self.graph.owning_module, node.target)
        if value.numel() != 1:
            raise Unknown(f"a tensor of {value.numel()} numbers that is no parameter")
        return self.literal(value.item())

    def _of_all(self, array: str, at: Index) -> Expression:
        """A number that all replicas share; or sixteen of them side by side, where such are computed."""
        return Expression(f"load({array} + i)") if self._wide else Expression(f"{array}[{at}]", kind="number")

    def _load(self, node: fx.Node, at: Index) -> Expression:
        self._reading.append((node, at))
        is_mask = node.meta["val"].dtype == torch.bool
        if node not in self._homes:  # not housed yet: only what is read matters
            return Expression("?", kind="mask" if is_mask else "vector")
        if node in self.common:
            return self._of_all(self._homes[node][0], at)
        text = self._at(node, at)
        return Expression(f"((N){text})", kind="mask") if is_mask else Expression(text)

    def _at(self, node: fx.Node, at: Index) -> str:
        array, gone = self._homes[node]
        if array in self.scalars:
            return array
        slot = self.slots.get(node)
        at = at.without(gone) + (slot if isinstance(slot, int) else 0)
        return f"{array}[{at}]"

    def _value(self, s: Statement) -> Expression:
        """What a statement stores, or the term that it adds."""
        if s.copies:
            return self.element(s.node, s.place)
        if s.part is not None:
            return self.element(s.part, s.place)
        if name(s.node) == SCATTER:
            self.element(s.node.args[1], tuple(map(Index.of, s.over[:-1])))
            return self.element(s.node.args[0], tuple(map(Index.of, s.over)))
        if name(s.node) in REDUCTIONS:
            value = term(self, s.node, s.place, tuple(map(Index.of, s.over)))
            if (start := self._start(s)) is not None:
                self.element(start, self._start_place(s))  # it is read, too
            return value
        return self._compute(s.node, s.place)

    def _start(self, s: Statement) -> fx.Node | None:
        return s.node.args[0] if name(s.node) == "addmm" else None

    def _start_place(self, s: Statement) -> Place:
        sizes = shape(s.node.args[0])
        place = s.place[len(s.place) - len(sizes) :]
        return tuple(Index() if d == 1 else i for d, i in zip(sizes, place, strict=True))

    # 3. The C.

    def emit(self, function: str) -> str:
        """A C function that does so many steps.

        `void f(V *P, const V *X, long own, const REAL *Y, long shared, const REAL *c, V *out, V *S, long steps)`: the
        state, data of each replica and data that all share, both with the distance from one step to the next, the
        numbers of each step, where the outputs go, and scratch.
        """
        body = self._print(self._tree, "    ")
        used = frozenset(re.findall(r"\w+", "\n".join(body)))

        def pointers(kind: str, start: str, nodes: list[fx.Node]) -> list[str]:
            held = [(self.names[n], self.offsets[n]) for n in nodes if self.names[n] in used]
            return [f"{kind}{array} = {start}{f' + {at}' if at else ''};" for array, at in held]

        top = ["  " + line for line in pointers("V *restrict ", "P", self.state)]
        of_all = {self._homes[node][0] for node in self.common if node in self._homes}
        for array, at in self.scratch:
            start = f"S{f' + {at}' if at else ''}"
            top.append(
                f"  REAL *{array} = (REAL *)({start});" if array in of_all else f"  V *restrict {array} = {start};"
            )
        inside = pointers("const V *", "X", self.own) + pointers("const REAL *", "Y", self.shared)
        inside += [f"const REAL {self.names[n]} = c[{k}];" for k, n in enumerate(self.numbers) if self.names[n] in used]
        inside += _declared(self.locals.get(None, []))
        parameters = "V *restrict P, const V *restrict X, long own, const REAL *restrict Y, long shared, "
        parameters += "const REAL *restrict c, V *restrict out, V *restrict S, long steps"
        ahead = f"X += own, Y += shared, c += {len(self.numbers)}, out += {self.out_size}"
        return "\n".join(
            [
                f"void {function}({parameters}) {{",
                *top,
                f"  for (; steps > 0; steps--, {ahead}) {{",
                *("    " + line for line in inside),
                *body,
                "  }",
                "}",
            ]
        )

    def _print(self, nests: list[Nest], pad: str) -> list[str]:
        lines = []
        for nest in nests:
            if nest.loop is None:
                lines += [pad + line for line in self._print_statement(nest.members[0])]
                continue
            sums = [s for s in nest.members if s.along and s.loops[0] == nest.loop]
            for s in sums:
                lines += [pad + line for line in self._each(s, f"{{}} = {self._zero(s)};")]
            i = nest.loop.text
            lines.append(f"{pad}for (int {i} = 0; {i} < {nest.loop.size}; {i}++) {{")
            lines += [pad + "  " + line for line in _declared(self.locals.get(nest, []))]
            lines += self._print(nest.inner, pad + "  ")
            lines.append(f"{pad}}}")
            for s in sums:
                if (scale := self._scale(s)) is not None:
                    lines += [pad + line for line in self._each(s, f"{{0}} = {{0}} * {scale.text};")]
        return lines

    def _print_statement(self, s: Statement) -> list[str]:
        if s.node in self.common:
            return self._print_common(s)
        if not s.copies and name(s.node) == SCATTER:
            return self._print_scatter(s)
        target = self._target(s)
        value = self._value(s)
        if not s.over:
            if s.node in self._often and value.kind == "vector" and s.slot is None:
                beside = self.literal(MOMENT)
                value = c.subtract(c.add(value, beside), beside)
            stored = c.vector(value) if value.kind != "mask" else Expression(f"(V){value.text}")
            if s.copies and value.kind == "mask":
                stored = c.vector(value)
            return [f"{target} = {stored.text};"]
        if s.along:
            return _looped(s.over[1:], self._added(s, target, value))
        start = self._start(s)
        first = None if start is None else c.numeric(self.element(start, self._start_place(s)))
        scale = self._scale(s)
        if math.prod(loop.size for loop in s.over if loop) <= WRITTEN_OUT:
            total = first
            for over in _points(s.over):
                part = term(self, s.node, s.place, over)
                total = part if total is None else self._combined(s, total, part)
            total = total if scale is None else c.multiply(total, scale)
            return [f"{target} = {c.vector(total).text};"]
        total = "total"
        begin = self._zero(s) if first is None else c.vector(first).text
        end = total if scale is None else f"{total} * {scale.text}"
        inner = _looped(s.over, self._added(s, total, value))
        return [f"{{ V {total} = {begin};", *("  " + line for line in inner), f"  {target} = {end}; }}"]

    def _print_common(self, s: Statement) -> list[str]:
        self._wide = True
        value = self._compute(s.node, s.place)
        self._wide = False
        return [f"for (int i = 0; i < {s.size}; i += {LANES}) store({self._homes[s.node][0]} + i, {value.text});"]

    def _print_scatter(self, s: Statement) -> list[str]:
        token = self.element(s.node.args[1], tuple(map(Index.of, s.over[:-1])))
        value, (array, _), width = c.vector(self._value(s)), self._homes[s.node], shape(s.node)[-1]
        j = Index.of(s.over[-1])
        line = f"scatter({array}, {token.text}, {width}, {j}, {value.text});"
        if token.kind == "number":
            at = f"{array}[{width} * (int){token.inside(c.ATOM)} + {j}]"
            line = f"{at} = {at} + {value.text};"
        return [*self._each(s, f"{{}} = {c.vector(self.literal(0)).text};"), *_looped(s.over, line)]

    def _target(self, s: Statement) -> str:
        if not s.copies:
            return self._at(s.node, s.out)
        if isinstance(s.slot, int):
            return f"out[{s.out + s.slot}]"
        return f"{self.names[s.slot]}[{s.out}]"

    def _combined(self, s: Statement, total: Expression, part: Expression) -> Expression:
        _, combine = COMBINED.get(name(s.node), (0, c.add))
        return combine(total, part)

    def _added(self, s: Statement, total: str, part: Expression) -> str:
        return f"{total} = {self._combined(s, Expression(total), part).text};"

    def _zero(self, s: Statement) -> str:
        """What a sum, or an extremum, starts from."""
        start, _ = COMBINED.get(name(s.node), (0, c.add))
        return c.vector(self.literal(start)).text

    def _scale(self, s: Statement) -> Expression | None:
        if name(s.node) != "mean":
            return None
        return self.literal(s.size / math.prod(shape(s.node.args[0])))

    def _each(self, s: Statement, line: str) -> list[str]:
        """A line for all elements of what a statement stores."""
        if s.size == 1:
            return [line.format(self._at(s.node, Index()))]
        element = self._at(s.node, Index.of(Loop.named("q", s.size)))
        return [f"for (int q = 0; q < {s.size}; q++) " + line.format(element)]


def _names(wanted: Sequence[str]) -> list[str]:
    """Names that C takes, each once."""
    names: list[str] = []
    for text in wanted:
        text = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in text)
        if not text or text[0].isdigit() or (text[0] == "a" and text[1:].isdigit()):
            text = f"p{text}"
        while text in RESERVED or text in names:
            text += "_"
        names.append(text)
    return names


def _declared(arrays: list[tuple[str, int]]) -> list[str]:
    return [f"V {', '.join(array if size == 1 else f'{array}[{size}]' for array, size in arrays)};"] if arrays else []


def _looped(over: Sequence[Loop | None], line: str) -> list[str]:
    found = [loop for loop in over if loop]
    unroll = ["UNROLL"] if len(found) == 1 and found[0].size <= UNROLLED else []
    heads = [f"for (int {loop.text} = 0; {loop.text} < {loop.size}; {loop.text}++)" for loop in found]
    return [" ".join([*unroll, *heads, line])]


def _points(over: Sequence[Loop | None]) -> Iterator[Place]:
    if not over:
        yield ()
        return
    for k in range(over[0].size if over[0] else 1):
        for rest in _points(over[1:]):
            yield (Index(k), *rest)
