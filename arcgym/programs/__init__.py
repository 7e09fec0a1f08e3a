"""Programs as text: found in completions, checked, normalised, hashed, compared, shortened. Nothing here runs one.

`extract_program` and `check_syntax` take what a policy wrote. `normal_form`, `program_hash` and `output_signature` say
when two programs are the same: in all but comments and formatting, in all but names, in what they do. `token_distance`
and `near_duplicates` say how far apart they are. `remove_dead_code` and `format_program` make them short and readable.
"""

from arcgym.programs.distance import near_duplicates, token_distance, token_distances
from arcgym.programs.extraction import SyntaxReport, check_syntax, extract_program
from arcgym.programs.hashing import output_signature, program_hash
from arcgym.programs.parsing import format_program, normal_form, parse_program
from arcgym.programs.simplification import Simplified, remove_dead_code

__all__ = [
    "Simplified",
    "SyntaxReport",
    "check_syntax",
    "extract_program",
    "format_program",
    "near_duplicates",
    "normal_form",
    "output_signature",
    "parse_program",
    "program_hash",
    "remove_dead_code",
    "token_distance",
    "token_distances",
]
