"""The synthetic families: what a task does, and on which scenes.

A family is one expression over the primitives with holes for colours and numbers, and the scenes that make it visible.
`{a}` and `{b}` are colours that the inputs hold; `{c}` is a colour that they need not hold; other holes are integers
with a range. Families marked `follows` work on any grid, so that they can be the second step of a composed task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """A kind of synthetic task.

    Attributes:
        name: Unique name, recorded as the task's `family`.
        template: The expression, with holes.
        scenes: Names of the scenes of `arcgym.data.synthetic.scenes` that its inputs are drawn from.
        ranges: For each integer hole, the lowest and the highest value.
        growth: By how much the output's side may exceed the input's; limits the input's size.
        follows: Whether it can be applied to the output of any other family.
    """

    name: str
    template: str
    scenes: tuple[str, ...]
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    growth: int = 1
    follows: bool = False


ANY = ("dense", "noise", "rectangles", "blobs", "one_blob", "square")
OBJECTS = ("rectangles", "blobs")
PICTURE = ("one_blob", "noise", "dense")


def _plain(names: str, scenes: tuple[str, ...], *, growth: int = 1, follows: bool = False) -> list[Family]:
    """Families of primitives that take the grid alone."""
    return [Family(name, f"{name}(grid)", scenes, growth=growth, follows=follows) for name in names.split()]


def _colour(names: str, scenes: tuple[str, ...], hole: str = "c", *, follows: bool = False) -> list[Family]:
    """Families of primitives that take the grid and one colour."""
    return [Family(name, f"{name}(grid, {{{hole}}})", scenes, follows=follows) for name in names.split()]


_GEOMETRY = [
    *_plain("flip_lr flip_ud rotate_cw rotate_ccw rotate_180 transpose anti_transpose", ANY, follows=True),
    *_plain("mirror_right mirror_left mirror_down mirror_up kaleidoscope", ANY, growth=2, follows=True),
    *_plain("rotate_mosaic", ("square",), growth=2),
    Family("fractal", "fractal(grid)", ("square", "noise"), growth=3),
    Family("scale", "scale(grid, {n})", (*PICTURE, "square"), {"n": (2, 3)}, growth=3, follows=True),
    Family("stretch_rows", "stretch(grid, {n}, 1)", PICTURE, {"n": (2, 3)}, growth=2),
    Family("stretch_columns", "stretch(grid, 1, {n})", PICTURE, {"n": (2, 3)}, growth=2),
    Family("downscale", "downscale(grid, {n})", ("regular_blocks",), {"n": (2, 3)}),
    Family("tile", "tile(grid, {m}, {n})", ("dense", "square"), {"m": (1, 3), "n": (1, 3)}, growth=3),
    Family("checker_tile", "checker_tile(grid, {m}, {n})", ("dense", "square"), {"m": (2, 3), "n": (2, 3)}, growth=3),
    Family("repeat_right", "hconcat(grid, grid)", ANY, growth=2, follows=True),
    Family("repeat_down", "vconcat(grid, grid)", ANY, growth=2, follows=True),
    Family("shift_down", "shift(grid, {n}, 0)", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("shift_up", "shift(grid, -{n}, 0)", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("shift_right", "shift(grid, 0, {n})", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("shift_left", "shift(grid, 0, -{n})", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("roll_rows", "roll(grid, {n}, 0)", ("dense", "noise", "lines"), {"n": (1, 2)}),
    Family("roll_columns", "roll(grid, 0, {n})", ("dense", "noise", "lines"), {"n": (1, 2)}),
]

_CROPPING = [
    *_plain("trim", ("one_blob", "blobs", "rectangles"), follows=True),
    *_plain("top_half bottom_half left_half right_half", ("dense", "noise", "square"), follows=True),
    Family("part", "part(grid, 3, {n})", ("dense", "noise"), {"n": (0, 2)}),
    Family("quarter", "quarter(grid, {n})", ("dense", "noise", "square"), {"n": (0, 3)}),
    Family("top_left", "top_left(grid, {m}, {n})", ("dense", "noise"), {"m": (1, 3), "n": (1, 3)}),
    *_plain("inner", ("dense", "noise", "frames"), follows=True),
    Family("pad", "pad(grid, 1, {c})", PICTURE, growth=2, follows=True),
    *_colour("frame", (*PICTURE, "sparse"), follows=True),
    *_plain("dedupe_rows dedupe_columns dedupe", ("blocks", "regular_blocks", "lines")),
    *_plain("drop_empty_rows drop_empty_columns compress", ("sparse", "lines", "one_blob", "seeds")),
    *_plain("first_row last_row first_column last_column", ("dense", "noise")),
    *_colour("crop_colour", ("rectangles", "blobs", "speckled"), "a"),
    *_colour("crop_inside", ("boxed",), "a"),
    *_plain("remove_grid_lines", ("panels",)),
]

_COLOURS = [
    Family("replace_colour", "replace_colour(grid, {a}, {c})", (*ANY, "lines", "sparse"), follows=True),
    Family("swap_colours", "swap_colours(grid, {a}, {b})", (*ANY, "lines"), follows=True),
    Family(
        "replace_two_colours",
        "replace_colour(replace_colour(grid, {a}, {c}), {b}, {d})",
        ("dense", "noise", "rectangles", "lines"),
    ),
    *_colour("keep_colour remove_colour", ("dense", "noise", "rectangles", "speckled"), "a", follows=True),
    *_colour("recolour", (*ANY, "seeds"), follows=True),
    *_colour("fill_zero", ("noise", "blobs", "one_blob", "sparse"), follows=True),
    *_plain("invert_colours", ("noise", "one_blob")),
    *_plain("keep_most_common keep_least_common", ("dense", "noise", "rectangles", "speckled")),
    *_plain("fill_most_common", ("dense", "square", "noise")),
    *_plain("paint_columns paint_rows", ("noise",)),
]

_OBJECTS = [
    *_plain("largest_object smallest_object", OBJECTS),
    *_plain("keep_largest keep_smallest remove_largest remove_smallest", OBJECTS),
    *_plain("remove_noise", ("speckled",), follows=True),
    *_colour("recolour_largest recolour_smallest", OBJECTS),
    *_plain("recolour_by_size", OBJECTS),
    *_colour("fill_holes", ("frames",)),
    *_plain("fill_each_hole", ("frames",)),
    *_colour("outline outline_plus", ("sparse", "seeds", "blobs", "one_blob")),
    *_plain("hollow", ("rectangles",)),
    *_colour("fill_boxes", ("blobs", "one_blob")),
    *_plain("tallest_object widest_object", OBJECTS),
    *_plain("drop_touching_border keep_touching_border", OBJECTS),
    *_plain("mirror_objects", ("blobs",)),
    *_colour("isolated_to", ("speckled", "noise")),
]

_LINES = [
    *_plain("shoot_right shoot_left shoot_up shoot_down", ("seeds", "sparse")),
    *_plain("shoot_horizontal shoot_vertical shoot_cross shoot_diagonal", ("seeds",)),
    *_plain("connect_rows connect_columns connect", ("point_pairs",)),
    *_colour("connect_with", ("point_pairs",)),
    *_colour("draw_rows_of draw_columns_of", ("sparse", "seeds"), "a"),
    *_colour("checkerboard", ("sparse", "seeds", "one_blob")),
    *_plain("grow grow_diagonal", ("seeds", "sparse", "one_blob")),
]

_GRAVITY = [
    *_plain("gravity_down gravity_up gravity_left gravity_right", ("noise", "sparse", "one_blob"), follows=True),
    *_plain("sort_rows sort_columns sort_rows_descending sort_columns_descending", ("noise", "sparse")),
    *_plain("histogram count_row colours_by_count", ("noise", "dense", "speckled")),
]

_SYMMETRY = [
    *_plain("symmetrise_lr symmetrise_ud", ("half_symmetric", "sparse", "one_blob")),
    *_plain("symmetrise_diagonal symmetrise_all", ("square", "one_blob")),
    *_plain("complete_period", ("tiled",)),
]

_LOGIC = [
    *_colour("halves_and halves_or halves_xor halves_nor halves_diff", ("halves",)),
    *_plain("halves_overlay", ("halves",)),
    Family("nth_cell", "nth_cell(grid, {n})", ("panels",), {"n": (0, 1)}),
    *_plain("overlay_cells densest_cell sparsest_cell", ("panels",)),
]

_COUNTING = [
    *_plain("scale_by_colours tile_by_colours", ("square", "dense"), growth=3),
    *_colour("count_as_row", ("rectangles", "blobs", "seeds")),
    Family("unit_row_of_objects", "unit_row(count_objects(grid), {c})", ("rectangles", "blobs", "seeds")),
    Family("diagonal_of_objects", "diagonal_of(count_objects(grid), {c})", ("rectangles", "blobs", "seeds")),
    Family("fill_with_rarest", "fill_all(grid, least_common_colour(grid))", ("speckled", "rectangles")),
    Family("overlay_flip_lr", "overlay(grid, flip_lr(grid))", ("one_blob", "noise", "sparse")),
    Family("overlay_flip_ud", "overlay(grid, flip_ud(grid))", ("one_blob", "noise", "sparse")),
    Family("overlay_rotation", "overlay(grid, rotate_180(grid))", ("one_blob", "noise", "sparse")),
    Family("concat_rotation", "hconcat(grid, rotate_180(grid))", ("dense", "square", "noise"), growth=2),
    Family("stack_rotation", "vconcat(grid, rotate_180(grid))", ("dense", "square", "noise"), growth=2),
]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        *(*_GEOMETRY, *_CROPPING, *_COLOURS, *_OBJECTS, *_LINES, *_GRAVITY, *_SYMMETRY, *_LOGIC),
        *_COUNTING,
    )
}
