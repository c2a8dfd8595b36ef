import sys; sys.path.insert(0,'/work/mine/conv')
from bench import *
import elinvar.codegen.lower_products as lp, elinvar.codegen.products as pr
old = lp.mode_of
MODE=[None]
lp.mode_of = lambda *a: old(*a) if MODE[0] is None else MODE[0]
import tempfile
for (n,c,o,h,k,s) in [(64,3,32,32,3,1),(64,32,32,32,3,1),(64,32,64,32,3,2),(64,64,64,16,3,1),(64,128,128,8,3,1),(64,256,256,4,3,1),(64,32,64,32,1,2)]:
    H = h+k-1; q = (H-k)//s+1; fl = 2*n*q*q*o*c*k*k
    res=[]
    for m in (None, 0, 1):
        MODE[0]=m
        hi = -((H-k)%s); pp = dict(dilation=(s,s), high=(hi,hi), channels_inner=False)
        for name, g in (('fwd', build([(n,H,H,c),(o,c,k,k)], lambda f,x,w: f.convolution(f.permute(x,axes=(0,3,1,2)), w, **P(stride=(s,s),channels_last=True)))),
          ('dw', build([(n,H,H,c),(n,q,q,o)], lambda f,x,g: f.convolution(f.permute(x,axes=(3,0,1,2)), f.permute(g,axes=(3,0,1,2)), **P(channels_last=True, **pp))))):
            g.name = 'g%s' % m
            t = best(runner(g)[0], 10); res.append('%s%s %.0f' % (name, m, fl/t/1e9))
    print((n,c,o,h,k,s), ' '.join(res), flush=True)
