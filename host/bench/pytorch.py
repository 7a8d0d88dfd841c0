"""The twin: builds the graph that stands on standard input in PyTorch, trains it for a while on random
pixels, and prints one line of JSON like `aplysia-bench train` does."""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--network")
parser.add_argument("--rule")
parser.add_argument("--layout", choices=["contiguous", "channels-last"])
parser.add_argument("--device", choices=["cpu", "cuda"])
parser.add_argument("--batch", type=int)
parser.add_argument("--warm", type=int)
parser.add_argument("--seconds", type=float)
args = parser.parse_args()
device = torch.device(args.device)
layout = torch.channels_last if args.layout == "channels-last" else torch.contiguous_format


class Feedback(torch.autograd.Function):
    """A convolution whose input gradient uses `b` in the place of the weights."""

    @staticmethod
    def forward(ctx, x, w, b, stride, pad, dilation, groups):
        ctx.save_for_backward(x, b)
        ctx.geometry = stride, pad, dilation, groups
        return F.conv2d(x, w, None, stride, pad, dilation, groups)

    @staticmethod
    def backward(ctx, grad):
        x, b = ctx.saved_tensors
        stride, pad, dilation, groups = ctx.geometry
        two = lambda n: [n, n]
        mask = [ctx.needs_input_grad[0], True, False]
        dx, dw, _ = torch.ops.aten.convolution_backward(
            grad, x, b, None, two(stride), two(pad), two(dilation), False, [0, 0], groups, mask
        )
        return dx, dw, None, None, None, None, None


class LinearFeedback(torch.autograd.Function):
    """The same for `y = x Wᵀ`."""

    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, b)
        return x @ w.t()

    @staticmethod
    def backward(ctx, grad):
        x, b = ctx.saved_tensors
        return grad @ b, grad.t() @ x, None


class Layer(torch.nn.Module):
    """A convolution or the classifier, with its rule's feedback."""

    def __init__(self, node, shape):
        super().__init__()
        self.node, self.rule = node, node["rule"]
        fan = shape[1] * (shape[2] * shape[3] if len(shape) == 4 else 1)
        self.std = (1.0 / fan) ** 0.5
        self.weight = torch.nn.Parameter(torch.randn(shape) * self.std)
        if self.rule in ("fa", "frsf"):
            self.register_buffer("drawn", torch.randn(shape) * self.std)

    def feedback(self):
        w = self.weight.detach()
        match self.rule:
            case "fa":
                return self.drawn
            case "usf":
                return w.sign() * self.std
            case "frsf":
                return self.drawn.abs() * w.sign()
            case "brsf":
                return torch.randn_like(w).abs() * self.std * w.sign()

    def conv(self, x):
        n = self.node
        groups = x.shape[1] if n["depthwise"] else 1
        geometry = n["stride"], n["pad"], n["dilation"], groups
        if self.rule == "bp":
            return F.conv2d(x, self.weight, None, *geometry)
        return Feedback.apply(x, self.weight, self.feedback(), *geometry)

    def linear(self, x):
        if self.rule == "bp":
            return x @ self.weight.t()
        return LinearFeedback.apply(x, self.weight, self.feedback())


class Net(torch.nn.Module):
    def __init__(self, graph):
        super().__init__()
        self.nodes = graph["nodes"]
        self.layers, self.norms = torch.nn.ModuleDict(), torch.nn.ModuleDict()
        for i, n in enumerate(self.nodes):
            c = n["channels"]
            if n["op"] == "conv":
                before = self.nodes[n["inputs"][0]]["channels"]
                shape = (c, 1 if n["depthwise"] else before, n["kernel"], n["kernel"])
                self.layers[str(i)] = Layer(n, shape)
                if n["norm"]:
                    self.norms[str(i)] = torch.nn.BatchNorm2d(c, affine=n["affine"])
            elif n["op"] == "linear":
                self.layers[str(i)] = Layer(n, (c, self.nodes[n["inputs"][0]]["channels"]))
                self.bias = torch.nn.Parameter(torch.zeros(c))
            elif n["op"] == "batch_norm":
                self.norms[str(i)] = torch.nn.BatchNorm2d(c, affine=n["affine"])

    def forward(self, x):
        maps = []
        for i, n in enumerate(self.nodes):
            ins, key = [maps[j] for j in n["inputs"]], str(i)
            match n["op"]:
                case "input":
                    y = x
                case "conv":
                    y = self.layers[key].conv(ins[0])
                    y = self.norms[key](y) if n["norm"] else y
                    y = F.relu(y) if n["relu"] else y
                case "linear":
                    y = self.layers[key].linear(ins[0].flatten(1)) + self.bias
                case "batch_norm":
                    y = self.norms[key](ins[0])
                case "relu":
                    y = F.relu(ins[0])
                case "add":
                    y = ins[0] + ins[1]
                case "concat":
                    y = torch.cat(ins, 1)
                case "global_avg_pool":
                    y = ins[0].mean((2, 3))
                case "max_pool":
                    y = F.max_pool2d(ins[0], n["kernel"], n["stride"], n["pad"])
                case "avg_pool":
                    y = F.avg_pool2d(ins[0], n["kernel"], n["stride"], n["pad"], count_include_pad=False)
                case "shift":
                    y = F.pad(ins[0][:, :, 1:, 1:], (0, 1, 0, 1))
                case other:
                    sys.exit(f"unknown operation {other}")
            maps.append(y)
        return maps[-1]


def gpu(field):
    line = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    return subprocess.check_output(line, text=True).splitlines()[0].strip()


torch.manual_seed(0)
torch.backends.cudnn.benchmark = True
graph = json.load(sys.stdin)
net = Net(graph).to(device).to(memory_format=layout)
n_params = sum(p.numel() for p in net.parameters())
assert n_params == graph["n_params"], (n_params, graph["n_params"])
h, w, c = graph["input"]
n = 64 * args.batch
images = torch.randn(n, c, h, w).to(memory_format=layout)
labels = torch.randint(0, graph["nodes"][-1]["channels"], (n,))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
times, step, began = [], 0, time.perf_counter()
last = began
while True:
    at = step % 64 * args.batch
    x = images[at : at + args.batch].to(device)
    y = labels[at : at + args.batch].to(device)
    loss = F.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    loss.item()
    optimizer.step()
    step += 1
    now = time.perf_counter()
    if step <= args.warm:
        began = now
    else:
        times.append((now - last) * 1e3)
        if now - began >= args.seconds:
            break
    last = now
step_ms = statistics.median(times)
cuda = args.device == "cuda"
record = {
    "program": f"PyTorch {torch.__version__}, {args.layout}",
    "network": args.network,
    "rule": args.rule,
    "device": gpu("name") if cuda else f"{torch.get_num_threads()} threads",
    "batch": args.batch,
    "n_params": n_params,
    "steps": len(times),
    "step_ms": step_ms,
    "images_per_s": args.batch * 1e3 / step_ms,
    "loss": None,
    "data_ms": 0.0,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    "gpu_mb": float(gpu("memory.used")) if cuda else None,
}
print(json.dumps(record))
