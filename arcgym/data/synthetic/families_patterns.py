"""Families of the primitives for cells, lines, completed patterns and panels, and idioms of them."""

from arcgym.data.synthetic.family import PICTURE, Family, coloured, plain

_CELLULAR = [
    *plain("keep_inside", ("plates",)),
    *coloured("fill_inside paint_corners", ("plates", "rectangles")),
    Family("corners_and_inside", "fill_inside(paint_corners(grid, {c}), {d})", ("plates",)),
    Family("corners_alone", "keep_colour(paint_corners(grid, {c}), {c})", ("plates", "rectangles")),
    *plain("remove_thin", ("burrs", "speckled"), follows=True),
    Family("denoise", "denoise(grid, {a})", ("grains",)),
    Family("denoise_rarest", "denoise(grid, least_common_colour(grid))", ("grains",)),
    Family("largest_without_burrs", "keep_largest(remove_thin(grid))", ("burrs",)),
    Family("trim_without_burrs", "trim(remove_thin(grid))", ("burrs",)),
    *plain("keep_lone_colours", ("loners",)),
    Family("lone_outlined", "outline(keep_lone_colours(grid), {c})", ("loners",)),
    Family("lone_crossed", "shoot_cross(keep_lone_colours(grid))", ("loners",)),
    *coloured("fill_clear_lines", ("aisles", "lines", "sparse")),
    Family("fill_empty_squares", "fill_empty_squares(grid, {n}, {c})", ("clearings",), {"n": (2, 3)}),
    *coloured("fill_largest_rectangle", ("clearings", "crowded", "rooms")),
    *coloured("fill_largest_region fill_smallest_region", ("rooms", "crowded", "aisles")),
    Family("largest_and_smallest", "fill_smallest_region(fill_largest_region(grid, {c}), {d})", ("rooms",)),
    *coloured("fill_square_regions", ("rooms", "panels", "crowded")),
    Family("square_or_not", "fill_zero(fill_square_regions(grid, {c}), {d})", ("rooms", "crowded")),
    *plain("number_empty_regions", ("crowded", "rooms")),
    Family("fill_boxes_of", "fill_boxes_of(grid, {a}, {c})", ("clusters", "speckled", "blobs")),
    *coloured("fill_between_corners", ("quads",)),
    Family("corners_then_recolour", "replace_colour(fill_between_corners(grid, {c}), {a}, {d})", ("quads",)),
]

_JOINING = [
    *coloured("connect_rows_with connect_columns_with", ("spans", "rectangles", "point_pairs")),
    *plain("connect_across", ("spans",)),
    *plain("connect_borders", ("facing_borders",)),
    Family("rarest_borders", "connect_borders(keep_least_common(grid))", ("facing_borders",)),
    *plain("shoot_at_largest", ("targets",)),
    *coloured("ring_crossings", ("crossroads",)),
    *plain("swap_crossings", ("crossroads",)),
    *plain("cut_stripes", ("pierced",)),
    *coloured("spiral", ("empty",)),
    *plain("repeat_down", ("band", "one_blob")),
    *plain("repeat_across", ("band_down", "one_blob")),
    Family("repeat_everywhere", "repeat_across(repeat_down(grid))", ("one_blob",)),
    *plain("repeat_runs", ("runs",)),
]

_COMPLETING = [
    *plain("symmetrise_around", ("around",)),
    *plain("symmetrise_turns", ("turning", "one_blob")),
    *plain("flip_odd_columns flip_odd_rows", ("dense", "striped", "square", "noise"), follows=True),
    *plain("keep_middle_column keep_middle_row", ("dense", "noise", "square"), follows=True),
    *coloured("draw_rising_diagonal draw_falling_diagonal", ("empty", "lines", "sparse", "noise")),
    *coloured("fill_last_row", ("sparse", "lines", "noise", "one_blob"), follows=True),
    Family("diagonal_and_row", "fill_last_row(draw_rising_diagonal(grid, {c}), {d})", ("empty", "lines", "sparse")),
    Family(
        "both_diagonals", "draw_rising_diagonal(draw_falling_diagonal(grid, {c}), {c})", ("empty", "sparse", "noise")
    ),
    Family("gaps_shoot", "invert_colours(shoot_diagonal(invert_colours(grid)))", ("pricked",)),
    Family("gaps_shoot_across", "invert_colours(shoot_cross(invert_colours(grid)))", ("pricked",)),
    Family("middle_cross", "overlay(keep_middle_row(grid), keep_middle_column(grid))", ("dense", "square", "noise")),
]

_PANELS = [
    *plain("repeat_panel", ("one_panel",)),
    *plain("complete_panels", ("part_panels",)),
    *[
        Family(f"panels_{name}", f"paint_panels(grid, {name}(panel_colours(grid)))", ("lit_panels",))
        for name in ("connect", "grow", "grow_diagonal", "shoot_cross", "shoot_right", "flip_lr", "gravity_down")
    ],
    Family("panels_connect_with", "paint_panels(grid, connect_with(panel_colours(grid), {c}))", ("lit_panels",)),
    Family("panels_outline", "paint_panels(grid, outline(panel_colours(grid), {c}))", ("lit_panels",)),
    Family("panels_by_sparsest", "paint_panels(grid, sparsest_cell(grid))", ("panel_key",)),
    Family("panels_by_densest", "paint_panels(grid, densest_cell(grid))", ("panel_key",)),
]


def _tinted(name: str, expression: str, scenes: tuple[str, ...]) -> Family:
    """A family that treats colour `{a}`, the background of its scenes, as 0."""
    inner = expression.replace("grid", "swap_colours(grid, 0, {a})")
    return Family(f"tinted_{name}", f"swap_colours({inner}, 0, {{a}})", scenes)


_PLATES, _POINTS = ("tinted_plates",), ("tinted_points",)
_TINTED = [
    Family("ground_to_zero", "swap_colours(grid, 0, {a})", (*_PLATES, *_POINTS)),
    _tinted("outline", "outline(grid, {c})", _PLATES),
    _tinted("fill_holes", "fill_holes(grid, {c})", _PLATES),
    _tinted("outline_and_holes", "outline(fill_holes(grid, {d}), {c})", _PLATES),
    _tinted("hollow", "hollow(grid)", _PLATES),
    _tinted("keep_largest", "keep_largest(grid)", _PLATES),
    _tinted("remove_noise", "remove_noise(grid)", _PLATES),
    _tinted("recolour_largest", "recolour_largest(grid, {c})", _PLATES),
    _tinted("recolour_closed", "recolour_closed(grid, {c})", _PLATES),
    _tinted("shoot_cross", "shoot_cross(grid)", _POINTS),
    _tinted("connect", "connect(grid)", _POINTS),
    _tinted("grow_diagonal", "grow_diagonal(grid)", _POINTS),
    _tinted("gravity_down", "gravity_down(grid)", _POINTS),
]

_IDIOMS = [
    Family(
        "columns_from_right",
        "flip_lr(recolour_columns(flip_lr(grid), {n}, {m}, {c}))",
        ("lines", "noise", "dense", "checked"),
        {"n": (2, 3), "m": (0, 2)},
    ),
    Family(
        "recolour_rows",
        "transpose(recolour_columns(transpose(grid), {n}, {m}, {c}))",
        ("lines", "noise", "dense", "checked"),
        {"n": (2, 3), "m": (0, 2)},
    ),
    Family("outlined_without_noise", "overlay(outline(remove_noise(grid), {c}), grid)", ("speckled",)),
    Family("noise_outlined", "overlay(grid, outline(keep_smallest(grid), {c}))", ("blobs", "rectangles")),
    Family("frame_and_diagonal", "frame(draw_falling_diagonal(grid, {c}), {d})", (*PICTURE, "empty")),
    Family("rarest_everywhere", "shoot_cross(keep_least_common(grid))", ("facing_borders", "speckled")),
    Family("bordered_lines", "fill_zero(fill_clear_lines(grid, {c}), {d})", ("aisles",)),
]

FAMILIES_PATTERNS: list[Family] = [*_CELLULAR, *_JOINING, *_COMPLETING, *_PANELS, *_TINTED, *_IDIOMS]
