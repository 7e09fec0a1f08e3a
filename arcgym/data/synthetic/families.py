"""The synthetic families: what a task does, and on which scenes."""

from arcgym.data.synthetic.families_more import FAMILIES_MORE
from arcgym.data.synthetic.families_objects import FAMILIES_OBJECTS
from arcgym.data.synthetic.families_patterns import FAMILIES_PATTERNS
from arcgym.data.synthetic.families_resizing import FAMILIES_RESIZING
from arcgym.data.synthetic.family import ANY, OBJECTS, PICTURE, Family, coloured, plain

_GEOMETRY = [
    *plain("flip_lr flip_ud rotate_cw rotate_ccw rotate_180 transpose anti_transpose", ANY, follows=True),
    *plain("mirror_right mirror_left mirror_down mirror_up kaleidoscope", ANY, growth=2, follows=True),
    *plain("rotate_mosaic", ("square",), growth=2),
    Family("fractal", "fractal(grid)", ("square", "noise"), growth=3),
    Family("scale", "scale(grid, {n})", (*PICTURE, "square"), {"n": (2, 3)}, growth=3, follows=True),
    Family("stretch_rows", "stretch(grid, {n}, 1)", PICTURE, {"n": (2, 3)}, growth=2),
    Family("stretch_columns", "stretch(grid, 1, {n})", PICTURE, {"n": (2, 3)}, growth=2),
    Family("downscale", "downscale(grid, {n})", ("regular_blocks",), {"n": (2, 3)}),
    Family("tile", "tile(grid, {m}, {n})", ("dense", "square"), {"m": (1, 3), "n": (1, 3)}, growth=3),
    Family("checker_tile", "checker_tile(grid, {m}, {n})", ("dense", "square"), {"m": (2, 3), "n": (2, 3)}, growth=3),
    Family("repeat_right", "hconcat(grid, grid)", ANY, growth=2, follows=True),
    Family("stacked_twice", "vconcat(grid, grid)", ANY, growth=2, follows=True),
    Family("shift_down", "shift(grid, {n}, 0)", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("shift_up", "shift(grid, -{n}, 0)", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("shift_right", "shift(grid, 0, {n})", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("shift_left", "shift(grid, 0, -{n})", ("blobs", "rectangles", "one_blob", "noise"), {"n": (1, 2)}),
    Family("roll_rows", "roll(grid, {n}, 0)", ("dense", "noise", "lines"), {"n": (1, 2)}),
    Family("roll_columns", "roll(grid, 0, {n})", ("dense", "noise", "lines"), {"n": (1, 2)}),
]

_CROPPING = [
    *plain("trim", ("one_blob", "blobs", "rectangles"), follows=True),
    *plain("top_half bottom_half left_half right_half", ("dense", "noise", "square"), follows=True),
    Family("part", "part(grid, 3, {n})", ("dense", "noise"), {"n": (0, 2)}),
    Family("quarter", "quarter(grid, {n})", ("dense", "noise", "square"), {"n": (0, 3)}),
    Family("top_left", "top_left(grid, {m}, {n})", ("dense", "noise"), {"m": (1, 3), "n": (1, 3)}),
    *plain("inner", ("dense", "noise", "frames"), follows=True),
    Family("pad", "pad(grid, 1, {c})", PICTURE, growth=2, follows=True),
    *coloured("frame", (*PICTURE, "sparse"), follows=True),
    *plain("dedupe_rows dedupe_columns dedupe", ("blocks", "regular_blocks", "lines")),
    *plain("drop_empty_rows drop_empty_columns compress", ("sparse", "lines", "one_blob", "seeds")),
    *plain("first_row last_row first_column last_column", ("dense", "noise")),
    *coloured("crop_colour", ("rectangles", "blobs", "speckled"), "a"),
    *coloured("crop_inside", ("boxed",), "a"),
    *plain("remove_grid_lines", ("panels",)),
]

_COLOURS = [
    Family("replace_colour", "replace_colour(grid, {a}, {c})", (*ANY, "lines", "sparse"), follows=True),
    Family("swap_colours", "swap_colours(grid, {a}, {b})", (*ANY, "lines"), follows=True),
    Family(
        "replace_two_colours",
        "replace_colour(replace_colour(grid, {a}, {c}), {b}, {d})",
        ("dense", "noise", "rectangles", "lines"),
    ),
    *coloured("keep_colour remove_colour", ("dense", "noise", "rectangles", "speckled"), "a", follows=True),
    *coloured("recolour", (*ANY, "seeds"), follows=True),
    *coloured("fill_zero", ("noise", "blobs", "one_blob", "sparse"), follows=True),
    *plain("invert_colours", ("noise", "one_blob")),
    *plain("keep_most_common keep_least_common", ("dense", "noise", "rectangles", "speckled")),
    *plain("fill_most_common", ("dense", "square", "noise")),
    *plain("paint_columns paint_rows", ("noise",)),
]

_OBJECTS = [
    *plain("largest_object smallest_object", OBJECTS),
    *plain("keep_largest keep_smallest remove_largest remove_smallest", OBJECTS),
    *plain("remove_noise", ("speckled",), follows=True),
    *coloured("recolour_largest recolour_smallest", OBJECTS),
    *plain("recolour_by_size", OBJECTS),
    *coloured("fill_holes", ("frames",)),
    *plain("fill_each_hole", ("frames",)),
    *coloured("outline outline_plus", ("sparse", "seeds", "blobs", "one_blob")),
    *plain("hollow", ("rectangles",)),
    *coloured("fill_boxes", ("blobs", "one_blob")),
    *plain("tallest_object widest_object", OBJECTS),
    *plain("drop_touching_border keep_touching_border", OBJECTS),
    *plain("mirror_objects", ("blobs",)),
    *coloured("isolated_to", ("speckled", "noise")),
]

_LINES = [
    *plain("shoot_right shoot_left shoot_up shoot_down", ("seeds", "sparse")),
    *plain("shoot_horizontal shoot_vertical shoot_cross shoot_diagonal", ("seeds",)),
    *plain("connect_rows connect_columns connect", ("point_pairs",)),
    *coloured("connect_with", ("point_pairs",)),
    *coloured("draw_rows_of draw_columns_of", ("sparse", "seeds"), "a"),
    *coloured("checkerboard", ("sparse", "seeds", "one_blob")),
    *plain("grow grow_diagonal", ("seeds", "sparse", "one_blob")),
]

_GRAVITY = [
    *plain("gravity_down gravity_up gravity_left gravity_right", ("noise", "sparse", "one_blob"), follows=True),
    *plain("sort_rows sort_columns sort_rows_descending sort_columns_descending", ("noise", "sparse")),
    *plain("histogram count_row colours_by_count", ("noise", "dense", "speckled")),
]

_SYMMETRY = [
    *plain("symmetrise_lr symmetrise_ud", ("half_symmetric", "sparse", "one_blob")),
    *plain("symmetrise_diagonal symmetrise_all", ("square", "one_blob")),
    *plain("complete_period", ("tiled",)),
]

_LOGIC = [
    *coloured("halves_and halves_or halves_xor halves_nor halves_diff", ("halves",)),
    *plain("halves_overlay", ("halves",)),
    Family("nth_cell", "nth_cell(grid, {n})", ("panels",), {"n": (0, 1)}),
    *plain("overlay_cells densest_cell sparsest_cell", ("panels",)),
]

_COUNTING = [
    *plain("scale_by_colours tile_by_colours", ("square", "dense"), growth=3),
    *coloured("count_as_row", ("rectangles", "blobs", "seeds")),
    Family("unit_row_of_objects", "unit_row(count_objects(grid), {c})", ("rectangles", "blobs", "seeds")),
    Family("diagonal_of_objects", "diagonal_of(count_objects(grid), {c})", ("rectangles", "blobs", "seeds")),
    Family("fill_with_rarest", "fill_all(grid, least_common_colour(grid))", ("speckled", "rectangles")),
    Family("overlay_flip_lr", "overlay(grid, flip_lr(grid))", ("one_blob", "noise", "sparse")),
    Family("overlay_flip_ud", "overlay(grid, flip_ud(grid))", ("one_blob", "noise", "sparse")),
    Family("overlay_rotation", "overlay(grid, rotate_180(grid))", ("one_blob", "noise", "sparse")),
    Family("concat_rotation", "hconcat(grid, rotate_180(grid))", ("dense", "square", "noise"), growth=2),
    Family("stack_rotation", "vconcat(grid, rotate_180(grid))", ("dense", "square", "noise"), growth=2),
]

FAMILIES_FIRST: list[Family] = [
    *(*_GEOMETRY, *_CROPPING, *_COLOURS, *_OBJECTS, *_LINES, *_GRAVITY, *_SYMMETRY, *_LOGIC),
    *_COUNTING,
]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        *FAMILIES_FIRST,
        *FAMILIES_MORE,
        *FAMILIES_OBJECTS,
        *FAMILIES_RESIZING,
        *FAMILIES_PATTERNS,
    )
}
