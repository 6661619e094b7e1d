"""The main job: compare every feature, reducer and head on one set of folds, and print the table of results."""

from glomfeat.comparison.options import Study
from studies._cli import DONE, INCOMPLETE, end_with_report, open_console, parse_options, print_tables, run_main


def main(arguments):
    """Run the comparison that the command line describes.

    Exit status: 0 done, 1 some trials failed, images were set aside, or a metric gave no number.
    """
    study = parse_options(Study, arguments, "python -m studies.compare")

    from glomfeat.comparison.compare import compare
    from glomfeat.comparison.folder import journal_of
    from glomfeat.comparison.prepare import prepare

    console = open_console()
    journal = None if study.dry_run else journal_of(study)
    prepared = prepare(study, say=console.out, journal=journal)
    if study.dry_run:
        from glomfeat.comparison.forecast import print_plan

        print_plan(prepared, console)
        _say_phantom(study, console)
        return DONE
    finished, results, quarantine = compare(prepared, console.out, journal)
    prices, cohorts, whole = print_tables(prepared, finished, results, quarantine, console)
    for sentence in _answer(study, finished, prices, cohorts):
        console.out(sentence)
    end_with_report(prepared.study, results, console, finished)
    _say_phantom(study, console)
    return DONE if whole else INCOMPLETE


def _answer(study, finished, prices, cohorts):
    """Write the sentences of the report's answer that are not of a plan."""
    from glomfeat.report.answer import found_in_words
    from glomfeat.report.arm_names import plain_arms
    from glomfeat.results.asked import asked_in_words

    results, column = finished.results, study.scheme.partition(":")[2]
    sites = finished.sites if finished.left_out else None
    asked = asked_in_words(results, prices, sites, cohorts, column, study.show_names)
    names, tables = plain_arms(results["arm"]), (finished.comparisons, finished.best_of_many)
    return found_in_words(finished, results, names, *tables, asked)


def _say_phantom(study, console):
    """Say that figures are of made-up images if no data were named, and how to name some."""
    if study.data is None:
        from glomfeat.data.phantom import ABOUT, FOR_YOURS

        console.out(f"data: the built-in phantom; {ABOUT}. {FOR_YOURS}.")


if __name__ == "__main__":
    run_main(main)
