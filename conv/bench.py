import sys, time, numpy as np
import elinvar as el
from elinvar.graph.ir import Builder
from elinvar.core.types import TensorType
from elinvar.core.dtypes import float32
from elinvar.ops.record import Namespace
from elinvar.ops.table import BY_NAME
from elinvar.codegen.lower import Lowering
from elinvar.run.compile import compile_graph, vector_bits
from elinvar.run.memory import allocate
from elinvar.run import native
el.set_num_threads(1)
def P(r=2, **k):
    d = dict(stride=(1,)*r, low=(0,)*r, high=(0,)*r, dilation=(1,)*r, input_dilation=(1,)*r, groups=1, batch_groups=1, channels_inner=True, channels_last=False)
    d.update(k); return d
def build(shapes, make):
    b = Builder()
    f = Namespace(BY_NAME, lambda op, operands, params: b.add(op, operands, params)[0])
    ins = [b.input(TensorType(float32, s)) for s in shapes]
    return b.graph([make(f, *ins)], 'g')
def runner(g):
    c = compile_graph(g); bd = c.bind({})
    arena = allocate(max(bd.arena_nbytes, 64))
    r = np.random.default_rng(0)
    xs = [r.standard_normal(v.shape).astype(np.float32) for v in g.inputs]
    outs = [np.empty(o.shape, np.float32) for o in bd.outputs]
    adr = lambda a: a.__array_interface__['data'][0]
    args = [arena.address, *map(adr, xs), *map(adr, outs)]
    return (lambda keep=(xs, outs, c, arena): bd.call(*args)), xs, outs, (c, arena)
def best(f, n=15):
    f(); t = []
    for _ in range(n):
        s = time.thread_time(); f(); t.append(time.thread_time()-s)
    return min(t)
if __name__ == '__main__':
    for (n,c,o,h,k,s) in [(64,3,32,32,3,1),(64,32,32,32,3,1),(64,32,64,32,3,2),(64,64,64,16,3,1),(64,128,128,8,3,1),(64,256,256,4,3,1),(64,32,64,32,1,2)]:
        pad = (k-1)
        H = h+pad; q = (H-k)//s+1
        fl = 2*n*q*q*o*c*k*k
        res = []
        def show(name, g):
            t = best(runner(g)[0]); res.append('%s %.2f ms %.0f' % (name, t*1e3, fl/t/1e9))
        show('fwdCL', build([(n,H,H,c),(o,c,k,k)], lambda f,x,w: f.convolution(f.permute(x,axes=(0,3,1,2)), w, **P(stride=(s,s),channels_last=True))))
        show('fwdCF', build([(n,c,H,H),(o,c,k,k)], lambda f,x,w: f.convolution(x, w, **P(stride=(s,s)))))
        hi = -((H-k)%s)
        pp = dict(dilation=(s,s), high=(hi,hi), channels_inner=False)
        show('dwCL', build([(n,H,H,c),(n,q,q,o)], lambda f,x,g: f.convolution(f.permute(x,axes=(3,0,1,2)), f.permute(g,axes=(3,0,1,2)), **P(channels_last=True, **pp))))
        show('dwCF', build([(n,c,H,H),(n,o,q,q)], lambda f,x,g: f.convolution(f.permute(x,axes=(1,0,2,3)), f.permute(g,axes=(1,0,2,3)), **P(**pp))))
        if '-m' in sys.argv: show('mm', build([(n*q*q,c*k*k),(c*k*k,o)], lambda f,x,w: f.contract(x,w,batch=((),()),axes=((1,),(0,)))))
        print((n,c,o,h,k,s), '%.2f GF' % (fl/1e9), ' | '.join(res), flush=True)
