"""How products are cut and which operand gives the rows: by shape alone, and no bit depends on it."""

import numpy as np
import pytest

import elinvar as el
from elinvar.codegen import lower_products
from elinvar.codegen.product_parts import PANELS, Tile
from elinvar.codegen.products import cut_product, wants_packing
from elinvar.codegen.walking import Geometry

TILE = Tile(12, 32, 16)
SHAPES = [
    (1, 1, 1, 1), (1, 128, 512, 784), (1, 32, 256, 1024), (7, 13, 33, 5), (1, 2048, 1024, 256),
    (3, 100, 3000, 64), (64, 128, 128, 32),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_cut_covers_the_product(shape, is_packed):
    batch, rows, columns, _ = shape
    cut = cut_product(*shape, TILE, is_packed)
    row_panels, column_panels = -(-rows // TILE.rows), -(-columns // TILE.columns)
    assert 1 <= cut.column_block <= min(PANELS, column_panels)
    assert 1 <= cut.row_block <= row_panels
    blocks = -(-row_panels // cut.row_block) * -(-column_panels // cut.column_block)
    assert cut.tasks == batch * blocks


def test_large_products_are_shared_and_small_ones_are_not():
    assert cut_product(1, 16, 16, 16, TILE).tasks == 1
    assert cut_product(1, 1024, 1024, 1024, TILE).tasks >= 16
    assert cut_product(0, 3, 4, 5, TILE).tasks == 0


def test_packing_is_a_launch_of_its_own_where_tasks_would_repeat_it():
    assert wants_packing(1, 1024, 1024, 1024, TILE)
    assert not wants_packing(1, 4, 1024, 1024, TILE)  # each column is read once
    assert not wants_packing(1, 16, 16, 16, TILE)  # a launch costs more


def test_what_takes_long_is_cut_finer():
    rows = Geometry(32, 256, 256, 64)
    assert rows.cut({})[0] == 1
    assert rows.cut({}, 9)[0] == 5
    assert Geometry(1, 16384, 16384, 64).cut({}, 5) == (5, 1, 3328)  # a multiple of 64


@pytest.mark.parametrize("columns", [1, 3, 10, 12])
def test_few_columns_become_the_rows(columns):
    """Such a product has the bits that it has as part of a wider one, whichever side packs."""
    rng = np.random.default_rng(0)
    x = el.asarray(rng.standard_normal((2, 37, 300)).astype(np.float32))
    wide = el.asarray(rng.standard_normal((2, 300, 40)).astype(np.float32))
    narrow = el.asarray(wide.numpy()[:, :, :columns])
    product = el.jit(lambda x, y: x @ y)
    found = product(x, narrow).numpy()
    assert found.tobytes() == product(x, wide).numpy()[:, :, :columns].tobytes()
    assert product(x[:1], narrow[:1]).numpy().tobytes() == found[:1].tobytes()
    turned = el.asarray(np.asfortranarray(narrow.numpy()))
    assert product(x, turned).numpy().tobytes() == found.tobytes()


@pytest.mark.parametrize("shape", [(13, 700, 33), (24, 520, 64), (5, 1030, 70), (12, 300, 31)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_are_added_in_order_however_a_tile_is_written(shape, dtype):
    """Full tiles, tiles that columns or rows do not fill, and results that stand apart: the sums of
    blocks of 256 steps of k, in order."""
    rows, depth, columns = shape
    rng = np.random.default_rng(depth)
    x = el.asarray(rng.standard_normal((rows, depth)).astype(dtype))
    y = el.asarray(rng.standard_normal((depth, columns)).astype(dtype))
    product = el.jit(lambda x, y: x @ y)
    expected = None
    for low in range(0, depth, 256):
        part = product(x[:, low : low + 256], y[low : low + 256]).numpy()
        expected = part if expected is None else expected + part
    assert product(x, y).numpy().tobytes() == expected.tobytes()
    turned = el.jit(lambda x, y: (x @ y).mT)(x, y).numpy()
    assert turned.tobytes() == np.ascontiguousarray(expected.T).tobytes()
    for number in (0, rows - 1):  # a row on its own is read otherwise
        alone = product(x[number : number + 1], y).numpy()
        assert alone.tobytes() == expected[number : number + 1].tobytes()


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(3, 20, 1), (24, 40, 2)])
def test_long_sums_of_results_that_stand_apart(inputs, outputs, stride, monkeypatch):
    """The gradient of a kernel, channels first: summed densely and copied, or added where it
    stands; the same bits."""
    rng = np.random.default_rng(0)
    x = el.asarray(rng.standard_normal((12, inputs, 18, 18)).astype(np.float32))
    w = el.asarray(rng.standard_normal((outputs, inputs, 3, 3)).astype(np.float32))

    g = el.asarray(rng.standard_normal((12, outputs, 18 // stride, 18 // stride)).astype(np.float32))

    def gradient(x, w, g):
        def run(w):
            return el.nn.functional.conv2d(x, w, stride=stride, padding=1)

        return el.vjp(run, w)[1](g)[0]

    found = {}
    for most in (1, 1 << 40):
        monkeypatch.setattr(lower_products, "MANY_BLOCKS", most)
        run = el.jit(gradient)
        found[most] = run(x, w, g).numpy().tobytes(), run.lower(x, w, g).loops.count("copy")
    assert found[1][0] == found[1 << 40][0]
    assert found[1][1] == found[1 << 40][1] + 1
