"""Families of the primitives that select, paint, gather and copy objects, and idioms of them on real tasks."""

from arcgym.data.synthetic.family import OBJECTS, Family, coloured, plain

_SIZED = ("sized", "blobs", "rectangles")


def _counted(names: str, scenes: tuple[str, ...], lowest: int, highest: int) -> list[Family]:
    """Families of primitives that take the grid, a number and a colour."""
    return [Family(name, f"{name}(grid, {{n}}, {{c}})", scenes, {"n": (lowest, highest)}) for name in names.split()]


def _on_colour(name: str, rule: str, scenes: tuple[str, ...]) -> Family:
    """The family of a rule on a coloured background, which may differ from pair to pair: taken away, then put back."""
    inner = rule.format("remove_most_common(grid)")
    return Family(f"{name}_on_colour", f"fill_zero({inner}, most_common_colour(grid))", scenes)


_SELECTING = [
    Family("recolour_touching", "recolour_touching(grid, {a}, {c})", ("touched",)),
    *coloured("remove_touching keep_touching", ("touched",), "a"),
    Family("touching_alone", "keep_colour(recolour_touching(grid, {a}, {c}), {c})", ("touched",)),
    Family("merge_touching", "remove_touching(recolour_touching(grid, {a}, {c}), {c})", ("touched",)),
    *coloured("recolour_upright recolour_flat", ("rectangles", "blobs", "ranked_bars")),
    Family("upright_or_flat", "recolour_flat(recolour_upright(grid, {c}), {d})", ("rectangles", "blobs")),
    *coloured("lone_to", ("corner_touching", "speckled")),
    Family("lone_alone", "keep_colour(lone_to(grid, {c}), {c})", ("corner_touching",)),
    *_counted("recolour_parts_larger", ("corner_touching", "sized"), 1, 4),
    *plain("recolour_in_order", ("blobs", "rectangles", "seeds", "ranked_bars", "sized")),
    *_counted("recolour_holed", ("perforated",), 0, 3),
    *plain("recolour_by_holes", ("perforated",)),
    Family("trim_holed", "trim(keep_colour(recolour_holed(grid, {n}, {c}), {c}))", ("perforated",), {"n": (1, 3)}),
    *coloured("recolour_repeated", ("shapes", "copies")),
    Family("recolour_like", "recolour_like(grid, {a})", ("exemplars",)),
    Family("keep_sized", "keep_sized(grid, {n})", ("sized", "blobs"), {"n": (1, 6)}),
    Family("trim_sized", "trim(keep_sized(grid, {n}))", ("sized", "blobs"), {"n": (2, 6)}),
    Family("remove_small", "recolour_smaller(grid, {n}, 0)", ("sized", "speckled"), {"n": (1, 4)}, follows=True),
    Family("remove_large", "recolour_larger(grid, {n}, 0)", ("sized", "speckled"), {"n": (1, 4)}),
]

_REGIONS = [
    *coloured("fill_odd_holes fill_even_holes", ("closed", "frames", "perforated")),
    Family(
        "odd_and_even_holes", "fill_even_holes(fill_odd_holes(grid, {c}), {d})", ("closed", "frames", "perforated")
    ),
    *plain("fill_matching_holes", ("puzzle",)),
    *plain("fill_own_boxes", ("blobs", "sized", "one_blob")),
    *coloured("box_around", ("blobs", "one_blob", "seeds", "sparse")),
    *coloured("mark_centres", ("rectangles", "sized")),
    *plain("swap_within paint_rarest paint_commonest", ("spotted",)),
    Family("rarest_swapped", "trim(swap_within(grid))", ("spotted", "two_colours")),
]

_GATHERING = [
    Family("pull", "pull(grid, {a})", ("strays",)),
    Family("pull_and_recolour", "recolour_to_most_common(pull(grid, least_common_colour(grid)))", ("strays",)),
    Family("pull_as", "replace_colour(pull(grid, {a}), {a}, {c})", ("strays",)),
    *plain("pull_onto", ("quarters",)),
    *plain("gather_by_colour", ("bordered", "lines_and_points")),
    Family("step_towards", "step_towards(grid, {a})", ("two_points", "facing")),
    *plain("push_left push_right", ("blobs", "rectangles", "sized"), follows=True),
    Family("fit_inside", "fit_inside(grid, {a})", ("corners_and_piece",)),
    Family("fit_and_crop", "trim(fit_inside(grid, {a}))", ("corners_and_piece",)),
    Family("align_right_by_length", "sort_rows(gravity_right(grid))", ("noise", "bars", "ranked_bars")),
]

_COPYING = [
    Family("copy_to", "copy_to(grid, {a})", ("picture_and_marks",)),
    Family("stamp_and_keep", "overlay(stamp(grid, {a}), remove_colour(grid, {a}))", ("stamps",)),
    Family("reflect_across", "reflect_across(grid, {a})", ("mirrors",)),
    Family("reflect_and_keep", "overlay(grid, reflect_across(grid, {a}))", ("mirrors",)),
    *plain("flip_objects", ("blobs", "sized")),
    *plain("complete_copies move_to_copies", ("begun_copies",)),
]

_IDIOMS = [
    Family("extremes", "recolour_smallest(recolour_largest(grid, {c}), {d})", ("ranked_bars", *_SIZED)),
    Family("three_ranks", "recolour_smallest(recolour_largest(recolour(grid, {b}), {c}), {d})", ("ranked_bars",)),
    Family(
        "extremes_alone",
        "remove_colour(recolour_smallest(recolour_largest(grid, {c}), {d}), {a})",
        ("ranked_bars", "sized"),
    ),
    Family(
        "insides_by_size",
        "overlay(grid, recolour_smallest(recolour_largest(keep_inside(grid), {c}), {d}))",
        ("plates",),
    ),
    _on_colour("shoot_at_largest", "shoot_at_largest({})", ("targets_on_colour",)),
    _on_colour("fall", "drop_objects({})", ("on_colour",)),
    _on_colour("touching_border", "recolour_touching_border({}, {{c}})", ("on_colour",)),
    _on_colour("remove_touching_border", "drop_touching_border({})", ("on_colour",)),
    _on_colour("ranks", "recolour_smallest(recolour_largest({}, {{c}}), {{d}})", ("on_colour",)),
    Family("largest_alone_recoloured", "recolour(keep_largest(grid), {c})", OBJECTS),
    Family("largest_and_others", "recolour_largest(recolour(grid, {c}), {d})", (*OBJECTS, "sized")),
    Family("boxes_and_centres", "box_around(mark_centres(grid, {c}), {d})", ("rectangles",)),
    Family("fall_and_recolour", "recolour_largest(drop_objects(grid), {c})", ("blobs", "sized")),
]

FAMILIES_OBJECTS: list[Family] = [*_SELECTING, *_REGIONS, *_GATHERING, *_COPYING, *_IDIOMS]
