"""Families of the primitives for recolouring, filling, moving, rays, extraction and patterns, and idioms of them."""

from arcgym.data.synthetic.family import ANY, OBJECTS, PICTURE, Family, coloured, plain

_SMALL = ("blobs", "rectangles", "speckled", "sized")
_POINTS = ("seeds", "sparse")
_PANELS = ("panels", "lattice")


def _sized(names: str, scenes: tuple[str, ...], lowest: int, highest: int) -> list[Family]:
    """Families of primitives that take the grid, a number of cells and a colour."""
    return [Family(name, f"{name}(grid, {{n}}, {{c}})", scenes, {"n": (lowest, highest)}) for name in names.split()]


_RECOLOURING = [
    *plain("recolour_by_rank", ("sized", "blobs", "rectangles")),
    Family("one_colour_by_rank", "recolour_by_rank(recolour(grid, {a}))", ("sized", "blobs")),
    *_sized("recolour_larger recolour_smaller", ("sized", "speckled", "blobs"), 1, 4),
    *_sized("recolour_sized", ("sized", "blobs"), 1, 6),
    Family("sized_or_not", "recolour_sized(recolour(grid, {c}), {n}, {d})", ("sized",), {"n": (2, 6)}),
    *coloured("recolour_odd_one", ("shapes",)),
    Family("odd_one_alone", "keep_colour(recolour_odd_one(grid, {c}), {c})", ("shapes",)),
    *coloured("recolour_closed", ("closed", "frames")),
    *plain("keep_closed", ("closed", "frames")),
    Family("closed_or_not", "recolour_closed(recolour(grid, {c}), {d})", ("closed",)),
    *coloured("recolour_symmetric", ("shapes", "blobs")),
    *coloured("recolour_touching_border", OBJECTS),
    Family("recolour_to_nearest", "recolour_to_nearest(grid, {a})", ("edges",)),
    Family("recolour_from_top", "recolour_from_top(grid, {a})", ("header",)),
    Family("recolour_rows_by_first", "recolour_rows_by_first(grid, {a})", ("labels",)),
    Family(
        "recolour_columns",
        "recolour_columns(grid, {n}, {m}, {c})",
        ("lines", "noise", "dense", "checked"),
        {"n": (2, 3), "m": (0, 2)},
    ),
    *coloured("recolour_lower_half", ("bars", "rectangles")),
    *coloured("recolour_uniform_rows", ("striped",)),
    *plain("recolour_to_odd_cell", ("odd_cell",)),
    *plain("swap_two_colours", ("two_colours", "noise", "rings"), follows=True),
    Family("trim_swapped", "swap_two_colours(trim(grid))", ("two_colours", "boxed")),
    *plain("reverse_rings cycle_rings", ("rings",)),
]

_FILLING = [
    *_sized("fill_holes_of_size", ("closed", "frames"), 1, 4),
    *coloured("fill_square_holes", ("closed", "frames")),
    *_sized("fill_regions_larger", ("noise", "frames"), 1, 3),
    *coloured("fill_outside", ("frames", "closed", "noise")),
    Family("inside_and_outside", "fill_outside(fill_holes(grid, {d}), {c})", ("frames", "closed")),
    Family("flood", "flood(grid, {a})", ("walled",)),
    *plain("fill_with_seed", ("seeded",)),
    Family("ring_around", "ring_around(grid, {a}, {c})", _POINTS),
    Family("plus_around", "plus_around(grid, {a}, {c})", _POINTS),
    Family("corners_around", "corners_around(grid, {a}, {c})", _POINTS),
    Family("plus_and_corners", "corners_around(plus_around(grid, {a}, {c}), {b}, {d})", _POINTS),
    *plain("fill_colour_boxes", _POINTS),
    *coloured("fill_gaps", ("gapped", "noise")),
    *coloured("fill_columns_with_content", ("sparse", "seeds", "one_blob")),
    Family("tiled_columns", "fill_columns_with_content(tile(grid, 2, 2), {c})", ("sparse", "seeds"), growth=2),
    *coloured("fill_marked_crossings", ("margins",)),
]

_MOVING = [
    *plain("drop_objects raise_objects", ("blobs", "rectangles", "sized"), follows=True),
    Family("slide", "slide(grid, {a})", ("facing",)),
    Family("align_rows", "align_rows(grid, {a})", ("rectangles", "blobs")),
    *plain("gather_at_lines", ("lines_and_points",)),
    Family("stamp", "stamp(grid, {a})", ("stamps",)),
]

_RAYS = [
    *plain("connect_diagonals", ("diagonal_pairs",)),
    *plain("extend_tails", ("tails",)),
    *plain("shoot_from_corners", ("rectangles", "seeds", "one_blob")),
    *coloured("cross_lines", ("seeds",)),
    *coloured("extend_lines", ("segments",)),
    *coloured("connect_elbow", ("two_points",)),
    *coloured("meet_halfway", ("row_ends",)),
    *coloured("shoot_dashed", ("seeds",)),
    *plain("bounce_up", ("bottom_seed",)),
    Family("bounce_and_fill", "fill_zero(bounce_up(grid), {c})", ("bottom_seed",)),
    *plain("elbow_rays", ("seeds",)),
    *plain("project_markers", ("markers",)),
    Family("shoot_diagonal_filled", "fill_zero(shoot_diagonal(grid), {c})", ("seeds",)),
    Family("shoot_cross_and_keep", "overlay(shoot_cross(grid), grid)", ("seeds",)),
]

_EXTRACTION = [
    *plain("symmetric_object asymmetric_object", ("shapes", "pictures")),
    Family("object_with", "object_with(grid, {a})", ("pictures",)),
    Family("object_without", "object_without(grid, {a})", ("pictures",)),
    *plain("rarest_object", ("copies", "shapes")),
    Family("crop_between", "crop_between(grid, {a})", ("cornered",)),
    Family("crop_between_recoloured", "recolour(crop_between(grid, {a}), {a})", ("cornered",)),
    Family("hidden_patch", "hidden_patch(grid, {a})", ("masked",)),
    Family("unhide", "complete_symmetry(grid, {a})", ("masked",)),
    *plain("keep_fullest_panel fill_panels panel_colours", _PANELS),
    *coloured("mark_fullest_panels", _PANELS),
    *plain("fold_lr fold_ud", ("halves", "noise", "panels")),
    *plain("stripe_order", ("stripes",)),
    *plain("remove_most_common", ("dense", "noise", "speckled", "rectangles"), follows=True),
    Family("counted_without_most", "colours_by_count(remove_most_common(grid))", ("speckled", "noise", "dense")),
]

_PATTERNS = [
    *plain("continue_right", ("begun",)),
    *plain("complete_diagonals", ("diagonals",)),
    *plain("symmetrise_object", ("one_blob", "quarter_drawn")),
    Family("fractal_where", "fractal_where(grid, {a})", ("square", "noise"), growth=3),
    *plain("fractal_most_common", ("square",), growth=3),
    *plain("denoise_rows denoise_stripes", ("striped",)),
    *plain("pad_edges", PICTURE, growth=2),
    *plain("unfold_twice", ("dense", "square", "noise"), growth=3),
]

_IDIOMS = [
    Family("largest_flipped", "flip_lr(largest_object(grid))", OBJECTS),
    Family("largest_recoloured", "recolour(largest_object(grid), {c})", OBJECTS),
    Family("smallest_scaled", "scale(smallest_object(grid), {n})", OBJECTS, {"n": (2, 3)}, growth=2),
    Family("trim_flipped", "flip_lr(trim(grid))", ("one_blob", "blobs")),
    Family("trim_scaled", "scale(trim(grid), {n})", ("one_blob",), {"n": (2, 3)}, growth=3),
    Family("trim_doubled", "hconcat(trim(grid), trim(grid))", ("one_blob",), growth=2),
    Family("trim_mirrored", "mirror_right(trim(grid))", ("one_blob",), growth=2),
    Family("trim_fractal", "fractal(trim(grid))", ("one_blob",), growth=2),
    Family("half_flipped", "flip_lr(left_half(grid))", ("dense", "noise", "square")),
    Family("mirror_of_half", "mirror_right(left_half(grid))", ("dense", "noise", "half_symmetric")),
    Family("holes_then_recolour", "replace_colour(fill_holes(grid, {c}), {a}, {d})", ("frames", "closed")),
    Family("only_holes", "keep_colour(fill_holes(grid, {c}), {c})", ("frames", "closed")),
    Family("hollow_filled", "fill_holes(hollow(grid), {c})", ("rectangles",)),
    Family("noise_then_crop", "trim(remove_noise(grid))", ("speckled",)),
    Family(
        "rotations_square",
        "vconcat(hconcat(grid, rotate_cw(grid)), hconcat(rotate_ccw(grid), rotate_180(grid)))",
        ("square",),
        growth=2,
    ),
    Family("flip_above", "vconcat(flip_ud(grid), grid)", ANY, growth=2),
    Family("flip_before", "hconcat(flip_lr(grid), grid)", ANY, growth=2),
    Family(
        "tile_flipped",
        "vconcat(hconcat(grid, flip_lr(grid)), hconcat(grid, flip_lr(grid)))",
        ("square", "dense"),
        growth=2,
    ),
    Family("halves_swapped", "hconcat(right_half(grid), left_half(grid))", ("dense", "noise")),
    Family("most_common_square", "crop_colour(grid, most_common_colour(grid))", ("rectangles", "speckled")),
    Family("rarest_cropped", "crop_colour(grid, least_common_colour(grid))", ("rectangles", "speckled")),
    Family("rarest_kept_trimmed", "trim(keep_least_common(grid))", ("rectangles", "speckled", "blobs")),
    Family("size_square", "size_square(grid, {c})", ("seeds", "rectangles", "blobs")),
    Family("shot_and_crossed", "overlay(shoot_vertical(grid), shoot_horizontal(grid))", ("seeds",)),
    Family("gravity_then_count", "histogram(gravity_down(grid))", ("noise", "sparse")),
    Family("sorted_turned", "rotate_cw(sort_rows(grid))", ("noise", "bars")),
]

FAMILIES_MORE: list[Family] = [
    *_RECOLOURING,
    *_FILLING,
    *_MOVING,
    *_RAYS,
    *_EXTRACTION,
    *_PATTERNS,
    *_IDIOMS,
]
