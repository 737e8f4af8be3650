# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Ways to break a model: in its structure, as protobuf messages, and in its bytes.

A mutation is a function of a random generator and a model, changed in place; one that finds nothing
to change raises whatever comes of that, and another one is tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

Mutation = Callable[[random.Random, onnx.ModelProto], None]

_SIZES = (0, -1, 1, 2, 3, 5, 7, 8, 16, 64, 1 << 10, 1 << 16, 1 << 20, 1 << 31, 1 << 40, 1 << 62)
_INTEGERS = (0, 1, -1, 2, -2, 3, 7, 9, -9, 255, 1 << 16, 1 << 31, -(1 << 31), 1 << 40, 1 << 62)
_REALS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e-3, 1e3, 1e-10, 1e-30, 1e-38, 1e-45, 1e30, 3e38),
    *(float("nan"), float("inf"), float("-inf"), 16777217.0, 0.1),
)
_WORDS = ("", "XX", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "constant", "linear", "nearest")
_NAMES = (
    *("", " ", ",", "a,b", "@0", "@3", "=", "::", "x", "y", "a" * 5000, "\u00e9\u4e2d\U0001f600"),
    *("\x1b[31m", "\n", "../../etc", "[bold]", "\u202e", "0", "-1", "None", "y::0", "\x00"),
)
_INNER = ("0", "bias", "clipped", "factor", "high", "low", "product", "scale", "steps", "zero")
"""Words with which loading names what it makes of a node."""

_DOMAINS = (
    "",
    "ai.onnx",
    "com.microsoft",
    "ai.onnx.ml",
    "qonnx.custom_op.general",
    "onnx.brevitas",
)
_KINDS = tuple(sorted({schema.name for schema in onnx.defs.get_all_schemas()}))
_CHAIN = ("Relu", "Identity", "Neg", "Sigmoid", "Abs", "Dropout", "Softmax", "Flatten", "Shape")
_MOST_ELEMENTS = 1 << 16


def mutate(raw: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A model that is wrong in one to four ways; ``others`` lend it nodes."""
    if rng.random() < 0.1:
        return broken_bytes(raw, rng)
    model = onnx.ModelProto.FromString(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        for _ in range(20):  # until one finds something to change
            try:
                if rng.random() < 0.08:
                    _graft(rng, model, rng.choice(others))
                else:
                    rng.choice(_MUTATIONS)(rng, model)
                break
            except Exception:  # of protobuf, onnx or numpy: nothing to change here
                continue
    raw = model.SerializeToString()
    return broken_bytes(raw, rng) if rng.random() < 0.05 else raw


def broken_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Bytes changed, left out, repeated or cut off."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not data:
            break
        at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 16, 100))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at : at + length] = rng.randbytes(length)
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def _tensors(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    found = [value.name for value in graph.input]
    found += [tensor.name for tensor in graph.initializer]
    return found + [name for node in graph.node for name in node.output]


def _resize_input(rng: random.Random, model: onnx.ModelProto) -> None:
    shape = rng.choice(model.graph.input).type.tensor_type.shape
    kind = rng.randrange(5)
    if kind == 0:
        shape.dim.add().dim_value = rng.choice(_SIZES)
    elif kind == 1:
        del shape.dim[rng.randrange(len(shape.dim))]
    elif kind == 2:
        rng.choice(shape.dim).dim_param = rng.choice((*_NAMES, "N"))
    elif kind == 3:
        rng.choice(shape.dim).Clear()
    else:
        rng.choice(shape.dim).dim_value = rng.choice(_SIZES)


def _retype_value(rng: random.Random, model: onnx.ModelProto) -> None:
    value = rng.choice([*model.graph.input, *model.graph.output])
    kind = rng.randrange(8)
    if kind == 0:
        value.ClearField("type")
    elif kind == 1:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1
    elif kind == 2:
        value.type.tensor_type.ClearField("shape")
    else:
        value.type.tensor_type.elem_type = rng.randrange(28)


def _rewire(rng: random.Random, model: onnx.ModelProto) -> None:
    node = rng.choice(model.graph.node)
    node.input[rng.randrange(len(node.input))] = rng.choice(["", "nowhere", *_tensors(model)])


def _change_inputs(rng: random.Random, model: onnx.ModelProto) -> None:
    node = rng.choice(model.graph.node)
    if rng.random() < 0.5:
        del node.input[rng.randrange(len(node.input)) :]
    else:
        node.input.append(rng.choice(["", *_tensors(model)]))


def _change_outputs(rng: random.Random, model: onnx.ModelProto) -> None:
    node = rng.choice(model.graph.node)
    kind = rng.randrange(3)
    if kind == 0:
        del node.output[rng.randrange(len(node.output)) :]
    elif kind == 1:
        node.output.append(rng.choice(["", "further", *_tensors(model)]))
    else:
        node.output[rng.randrange(len(node.output))] = rng.choice(["", *_tensors(model)])


def _drop_node(rng: random.Random, model: onnx.ModelProto) -> None:
    """Without it, with what read its first output reading its first input, or not."""
    nodes = model.graph.node
    index = rng.randrange(len(nodes))
    gone = nodes[index]
    if rng.random() < 0.8:
        old, new = gone.output[0], gone.input[0]
        for node in nodes:
            node.input[:] = [new if name == old else name for name in node.input]
        for value in model.graph.output:
            value.name = new if value.name == old else value.name
    del nodes[index]


def _repeat_node(rng: random.Random, model: onnx.ModelProto) -> None:
    """Once more: beside itself, or behind itself."""
    nodes = list(model.graph.node)
    index = rng.randrange(len(nodes))
    copy = onnx.NodeProto()
    copy.CopyFrom(nodes[index])
    if rng.random() < 0.7:
        behind = nodes[index].output[0]
        copy.output[0] = f"{behind}'"
        copy.input[0] = behind
        for node in nodes[index + 1 :]:
            node.input[:] = [copy.output[0] if name == behind else name for name in node.input]
    nodes.insert(index + 1, copy)
    kept = [each.SerializeToString() for each in nodes]
    del model.graph.node[:]
    model.graph.node.extend(onnx.NodeProto.FromString(each) for each in kept)


def _swap_nodes(rng: random.Random, model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    first, second = rng.choice(nodes), rng.choice(nodes)
    spare = onnx.NodeProto()
    spare.CopyFrom(first)
    first.CopyFrom(second)
    second.CopyFrom(spare)


def _other_operator(rng: random.Random, model: onnx.ModelProto) -> None:
    rng.choice(model.graph.node).op_type = rng.choice((*_KINDS, "", "NoSuch"))


def _other_domain(rng: random.Random, model: onnx.ModelProto) -> None:
    rng.choice(model.graph.node).domain = rng.choice((*_DOMAINS, "com.example"))


def _change_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    node = rng.choice([node for node in model.graph.node if node.attribute])
    index = rng.randrange(len(node.attribute))
    attribute = node.attribute[index]
    kind = rng.randrange(6)
    if kind == 0:
        del node.attribute[index]
    elif kind == 1:
        attribute.name = rng.choice(("axis", "axes", "to", "", "pads", "group"))
    elif kind == 2:
        attribute.CopyFrom(helper.make_attribute(attribute.name, _value(rng)))
    elif kind == 3 and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_INTEGERS)
    elif kind == 4 and attribute.floats:
        attribute.floats[rng.randrange(len(attribute.floats))] = rng.choice(_REALS)
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = rng.choice(_INTEGERS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice(_REALS)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = rng.choice((*_WORDS, "\u00e9")).encode("latin-1")
    elif attribute.ints:
        del attribute.ints[rng.randrange(len(attribute.ints)) :]
    else:
        attribute.type = rng.randrange(1, 15)


def _value(rng: random.Random) -> int | float | str | list[int] | list[float]:
    kind = rng.randrange(5)
    length = rng.choice((1, 1, 2, 2, 3, 4, 6, 8))
    if kind == 0:
        return rng.choice(_INTEGERS)
    if kind == 1:
        return rng.choice(_REALS)
    if kind == 2:
        return rng.choice(_WORDS)
    if kind == 3:
        return [rng.choice(_REALS) for _ in range(length)]
    return [rng.choice(_INTEGERS[: rng.choice((4, 8, 15))]) for _ in range(length)]


def _add_attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    """One that the operator has, with some value of its type, or of another."""
    node = rng.choice(model.graph.node)
    schema = onnx.defs.get_schema(node.op_type, 21, "")
    name = rng.choice(sorted(schema.attributes))
    kind = str(schema.attributes[name].type).rpartition(".")[2]
    value: int | float | str | list[int] | list[float] = _value(rng)
    if rng.random() < 0.8:
        if kind == "INT":
            value = rng.choice(_INTEGERS)
        elif kind == "FLOAT":
            value = rng.choice(_REALS)
        elif kind == "STRING":
            value = rng.choice(_WORDS)
        elif kind == "INTS":
            value = [rng.choice(_INTEGERS[:8]) for _ in range(rng.choice((1, 2, 3, 4)))]
    node.attribute.append(helper.make_attribute(name, value))


def _change_array(rng: random.Random, model: onnx.ModelProto) -> None:
    """Other values, of another shape or another type, that hang together."""
    tensor = rng.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor)
    flat = array.reshape(-1)
    kind = rng.randrange(12)
    if kind == 0:
        array = array.reshape(-1)
    elif kind == 1:
        array = array[None]
    elif kind == 2:
        array = np.squeeze(array)
    elif kind == 3:
        array = flat[: rng.randrange(flat.size + 1)]
    elif kind == 4:
        array = np.tile(flat, 2)
    elif kind == 5:
        array = array.T
    elif kind == 6:
        kinds = (
            np.float32,
            np.float64,
            np.float16,
            np.int8,
            np.uint8,
            np.int32,
            np.int64,
            np.bool_,
        )
        with np.errstate(all="ignore"):
            array = array.astype(rng.choice(kinds))
    elif kind == 7:
        array = np.zeros_like(array)
    elif kind == 8:
        rank = rng.randrange(6)
        shape = [rng.choice((0, 1, 1, 2, 3, 4, 7)) for _ in range(rank)]
        array = np.resize(array, shape)
    elif kind == 9:
        fresh = array.copy()
        with np.errstate(all="ignore"):
            fresh.reshape(-1)[rng.randrange(fresh.size)] = np.array(rng.choice(_REALS)).astype(
                fresh.dtype
            )
        array = fresh
    elif kind == 10:
        with np.errstate(all="ignore"):
            array = np.full_like(array, np.array(rng.choice(_REALS)).astype(array.dtype))
    else:
        with np.errstate(all="ignore"):
            array = (array * np.array(rng.choice(_REALS)).astype(array.dtype)).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(np.array(array), tensor.name))


def _integers_of_an_array(rng: random.Random, model: onnx.ModelProto) -> None:
    """Targets of Reshape, axes, starts, sizes: one number becomes another."""
    kinds = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    tensor = rng.choice([t for t in model.graph.initializer if t.data_type in kinds])
    array = numpy_helper.to_array(tensor).copy()
    limit = np.iinfo(array.dtype).max
    chosen = rng.choice([n for n in _INTEGERS if abs(n) <= limit])
    array.reshape(-1)[rng.randrange(array.size)] = chosen
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _damage_tensor(rng: random.Random, model: onnx.ModelProto) -> None:
    """A message that contradicts itself."""
    initialisers = model.graph.initializer
    index = rng.randrange(len(initialisers))
    tensor = initialisers[index]
    kind = rng.randrange(9)
    if kind == 0:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(_SIZES)
    elif kind == 1:
        tensor.dims.append(rng.choice(_SIZES))
    elif kind == 2:
        tensor.data_type = rng.randrange(30)
    elif kind == 3:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif kind == 4:
        tensor.name = rng.choice((*_NAMES, *_tensors(model)))
    elif kind == 5:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", rng.choice((*_NAMES, "model.onnx"))
    elif kind == 6:
        del initialisers[index]
    elif kind == 7:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.input.append(value)
        if rng.random() < 0.7:
            del initialisers[index]
    else:
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def _rename(rng: random.Random, model: onnx.ModelProto) -> None:
    """A tensor everywhere, or just one place that has a name."""
    new = rng.choice((*_NAMES, *_tensors(model)))
    graph = model.graph
    if rng.random() < 0.1:
        new = f"{rng.choice(graph.node).name}::{rng.choice(_INNER)}"
    kind = rng.randrange(5)
    if kind == 0:
        rng.choice(graph.node).name = new
    elif kind == 1:
        rng.choice(graph.input).name = new
    elif kind == 2:
        rng.choice(graph.output).name = new
    else:
        old = rng.choice(_tensors(model))
        for node in graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for named in (*graph.input, *graph.output, *graph.initializer):
            named.name = new if named.name == old else named.name


def _versions(rng: random.Random, model: onnx.ModelProto) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        model.ir_version = rng.choice((0, 1, 3, 4, 7, 10, 13, 99))
    elif kind == 1:
        del model.opset_import[rng.randrange(len(model.opset_import))]
    elif kind == 2:
        model.opset_import.add().CopyFrom(
            helper.make_opsetid(rng.choice(_DOMAINS), rng.randrange(1, 30))
        )
    else:
        rng.choice(model.opset_import).version = rng.choice((*range(27), -1, 1 << 40))


def _change_results(rng: random.Random, model: onnx.ModelProto) -> None:
    """Another tensor as an output, one more, one twice, or none."""
    outputs = model.graph.output
    kind = rng.randrange(4)
    if kind == 0:
        rng.choice(outputs).name = rng.choice(_tensors(model))
    elif kind == 1:
        outputs.add().name = rng.choice(_tensors(model))
        outputs[-1].type.tensor_type.elem_type = 1
    elif kind == 2:
        del outputs[rng.randrange(len(outputs))]
    else:
        outputs.add().CopyFrom(rng.choice(outputs))


def _false_shape(rng: random.Random, model: onnx.ModelProto) -> None:
    """A shape written down for an inner tensor that is another."""
    shape = [rng.choice(_SIZES[:9]) for _ in range(rng.randrange(6))]
    name = rng.choice(_tensors(model))
    value = helper.make_tensor_value_info(name, rng.randrange(1, 12), shape)
    rng.choice((model.graph.value_info, model.graph.output)).append(value)


def _long_chain(rng: random.Random, model: onnx.ModelProto) -> None:
    """Many nodes behind a tensor, each reading the one before once or twice."""
    kind = rng.choice((*_CHAIN, "Add", "Mul", "Concat"))
    # As many Concats make 4096 times as many elements, or more than anybody has.
    length = rng.choice((4, 8, 12, 200) if kind == "Concat" else (20, 20, 60, 60, 200, 600))
    inner = [name for node in model.graph.node for name in node.output]
    name = rng.choice(inner)
    readers = [node for node in model.graph.node if name in node.input]
    last = name
    for index in range(length):
        fresh = f"{name}~{index}"
        inputs = [last, last] if kind in ("Add", "Mul", "Concat") else [last]
        node = helper.make_node(kind, inputs, [fresh])
        if kind == "Concat":
            node.attribute.append(helper.make_attribute("axis", rng.choice((0, 1, -1))))
        model.graph.node.append(node)
        last = fresh
    for node in readers:
        node.input[:] = [last if each == name else each for each in node.input]
    if not readers:
        for value in model.graph.output:
            value.name = last if value.name == name else value.name
    if rng.random() < 0.2:  # a cycle
        model.graph.node[-length].input[0] = last


def _huge_constant(rng: random.Random, model: onnx.ModelProto) -> None:
    """A node that makes much of a few bytes, and somebody who reads it."""
    sizes = [rng.choice((1, 2, 64, 1 << 10, 1 << 16, 1 << 24)) for _ in range(rng.randrange(1, 4))]
    model.graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "sizes"))
    kind = rng.choice(("ConstantOfShape", "Expand", "RandomNormalLike", "Range", "Tile"))
    inputs = ["sizes"]
    if kind in ("Expand", "Tile"):
        inputs = [rng.choice(_tensors(model)), "sizes"]
    if kind == "Range":
        ends = np.array([0, rng.choice(_SIZES), 1], np.int64)
        for name, end in zip(("begin", "end", "step"), ends, strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.array(end), name))
        inputs = ["begin", "end", "step"]
    model.graph.node.insert(0, helper.make_node(kind, inputs, ["huge"]))
    reader = rng.choice(model.graph.node[1:])
    reader.input[rng.randrange(len(reader.input))] = "huge"


def _into_a_branch(rng: random.Random, model: onnx.ModelProto) -> None:
    """A node goes into both branches of an If."""
    nodes = model.graph.node
    index = rng.randrange(len(nodes))
    old = onnx.NodeProto()
    old.CopyFrom(nodes[index])
    outputs = [onnx.ValueInfoProto(name=name) for name in old.output]
    branch = helper.make_graph([old], "branch", [], outputs)
    condition = rng.choice(_tensors(model))
    wrapped = helper.make_node(
        "If", [condition], list(old.output), then_branch=branch, else_branch=branch
    )
    nodes[index].CopyFrom(wrapped)


def _function(rng: random.Random, model: onnx.ModelProto) -> None:
    """A local function that a node calls; it may call itself."""
    node = rng.choice(model.graph.node)
    inner = onnx.NodeProto()
    inner.CopyFrom(node)
    name = rng.choice(("Local", node.op_type))
    if rng.random() < 0.2:
        inner.op_type, inner.domain = name, "local"
    function = helper.make_function(
        "local",
        name,
        list(dict.fromkeys(filter(None, node.input))),
        list(node.output),
        [inner],
        list(model.opset_import),
    )
    model.functions.append(function)
    node.op_type, node.domain = name, "local"
    del node.attribute[:]


def _graft(rng: random.Random, model: onnx.ModelProto, raw: bytes) -> None:
    """A part of another model, behind a tensor of this one or in front of a node."""
    other = onnx.ModelProto.FromString(raw).graph
    if sum(len(tensor.raw_data) for tensor in other.initializer) > _MOST_ELEMENTS:
        raise ValueError
    start = rng.randrange(len(other.node))
    piece = other.node[start : start + rng.choice((1, 1, 2, 3, 8))]
    entry = piece[0].input[0]
    target = rng.choice(_tensors(model))
    for node in piece:
        names = [target if name == entry else name and f"o.{name}" for name in node.input]
        outputs = [name and f"o.{name}" for name in node.output]
        model.graph.node.append(node)
        model.graph.node[-1].input[:] = names
        model.graph.node[-1].output[:] = outputs
    for tensor in other.initializer:
        model.graph.initializer.append(tensor)
        model.graph.initializer[-1].name = f"o.{tensor.name}"
    last = model.graph.node[-1].output[0]
    if rng.random() < 0.5:
        rng.choice(model.graph.output).name = last
    else:
        rng.choice(model.graph.node[: -len(piece)]).input[0] = last


_MUTATIONS: tuple[Mutation, ...] = (
    _resize_input,
    _retype_value,
    _rewire,
    _rewire,
    _change_inputs,
    _change_outputs,
    _drop_node,
    _repeat_node,
    _swap_nodes,
    _other_operator,
    _other_domain,
    _change_attribute,
    _change_attribute,
    _add_attribute,
    _add_attribute,
    _change_array,
    _change_array,
    _change_array,
    _integers_of_an_array,
    _damage_tensor,
    _rename,
    _versions,
    _change_results,
    _false_shape,
    _long_chain,
    _huge_constant,
    _into_a_branch,
    _function,
)
