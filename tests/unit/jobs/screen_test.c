#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs/screen_private.h"
#include "tests/unit/jobs/screen_compare.h"

#define ESC "\033"

static struct screen *make(unsigned rows, unsigned cols)
{
	struct screen *screen = NULL;

	cr_assert_eq(screen_new(rows, cols, &screen), 0);
	return screen;
}

static void say(struct screen *screen, const char *text)
{
	cr_assert_eq(screen_write(screen, text, strlen(text)), 0);
}

static void expect_text(struct screen *screen, unsigned n_history, const char *expected)
{
	struct buffer out = {0};

	cr_assert_eq(screen_text(screen, n_history, &out), 0);
	cr_assert_eq(buffer_append(&out, "", 1), 0);
	cr_assert_str_eq((char *)out.data, expected);
	buffer_deinit(&out);
}

/* The screen, and one that was given its redraw, are the same. */
static void expect_redraw(struct screen *screen)
{
	struct screen *other = screen_compare_redrawn(screen);
	char text[200] = "";

	cr_assert_not_null(other);
	cr_assert_eq(screen_compare(screen, other, text, sizeof(text)), 0, "%s", text);
	screen_free(other);
}

static struct screen_cell cell_at(struct screen *screen, unsigned row, unsigned col)
{
	return screen_row_get(&screen->grids[screen->active].rows[row], col);
}

static struct screen_info info_of(struct screen *screen)
{
	struct screen_info info;

	screen_get_info(screen, &info);
	return info;
}

static void expect_answers(struct screen *screen, const char *expected)
{
	struct buffer out = {0};

	cr_assert_eq(screen_take_answers(screen, &out), 0);
	cr_assert_eq(buffer_append(&out, "", 1), 0);
	cr_assert_str_eq((char *)out.data, expected);
	buffer_deinit(&out);
}

/* --- text -------------------------------------------------------------------------------------
 */

Test(screen, shows_text_where_the_cursor_is)
{
	struct screen *screen = make(3, 10);

	say(screen, "one\r\n" ESC "[3;4Hthree" ESC "[1;1HO");
	expect_text(screen, 0, "One\n\n   three\n");
	cr_assert_eq(info_of(screen).cursor_row, 0);
	cr_assert_eq(info_of(screen).cursor_col, 1);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, wraps_only_when_a_character_follows_the_last_column)
{
	struct screen *screen = make(3, 4);

	say(screen, "abcd");
	expect_text(screen, 0, "abcd\n\n\n");
	expect_redraw(screen);
	say(screen, "\r\nx");
	expect_text(screen, 0, "abcd\nx\n\n");
	say(screen, "yzwv");
	expect_text(screen, 0, "abcd\nxyzw\nv\n");
	screen_free(screen);
}

Test(screen, takes_utf_8_in_any_pieces)
{
	const char text[] = "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80.";
	struct screen *screen = make(1, 20);

	for (size_t i = 0; i + 1 < sizeof(text); i++)
		cr_assert_eq(screen_write(screen, text + i, 1), 0);
	expect_text(screen, 0, "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80.\n");
	cr_assert_eq(cell_at(screen, 0, 1).width, 2);
	cr_assert_eq(cell_at(screen, 0, 2).width, 0);
	cr_assert_eq(info_of(screen).cursor_col, 6);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, shows_a_replacement_for_what_is_not_utf_8)
{
	struct screen *screen = make(1, 20);

	say(screen, "a\xff"
		    "b\xc3"
		    "c\xed\xa0\x80.\xc0\xaf");
	expect_text(screen, 0,
		    "a\xef\xbf\xbd"
		    "b\xef\xbf\xbd"
		    "c\xef\xbf\xbd.\xef\xbf\xbd\xef\xbf\xbd\n");
	screen_free(screen);
}

Test(screen, keeps_combining_characters_with_their_cell)
{
	struct screen *screen = make(2, 3);

	say(screen, "ae\xcc\x81\xcc\xa3" ESC "[7mz\xcc\x82");
	expect_text(screen, 0, "ae\xcc\x81\xcc\xa3z\xcc\x82\n\n");
	cr_assert_eq(cell_at(screen, 0, 1).n_marks, 2);
	cr_assert(info_of(screen).cursor_row == 0, "a mark in the last column wraps nothing");
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, keeps_a_bounded_number_of_combining_characters)
{
	struct screen *screen = make(2, 10);

	say(screen, "x");
	for (int i = 0; i < 100000; i++)
		say(screen, "\xcc\x81");
	cr_assert_eq(cell_at(screen, 0, 0).n_marks, SCREEN_MARKS_MAX);
	say(screen, ESC "[H\xcc\x81y");
	expect_text(screen, 0, "y\n\n");
	screen_free(screen);
}

Test(screen, leaves_no_half_of_a_wide_character)
{
	struct screen *screen = make(1, 8);

	say(screen, "\xe6\x97\xa5\xe6\x9c\xac" ESC "[1;2Hx");
	expect_text(screen, 0, " x\xe6\x9c\xac\n");
	say(screen, ESC "[1;3H" ESC "[P");
	expect_text(screen, 0, " x\n");
	say(screen, ESC "[1;1H\xe6\x97\xa5" ESC "[1;2H" ESC "[@");
	expect_text(screen, 0, "\n");
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, translates_line_drawing)
{
	struct screen *screen = make(1, 10);

	say(screen, ESC "(0lqk" ESC "(Bq\016x\017" ESC ")0\016x");
	expect_text(screen, 0, "\xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90qx\xe2\x94\x82\n");
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, repeats_the_last_character)
{
	struct screen *screen = make(1, 10);

	say(screen, "-" ESC "[4b" ESC "[1;9H" ESC "[3b");
	expect_text(screen, 0, "-----\n");
	screen_free(screen);
}

/* --- looks ------------------------------------------------------------------------------------
 */

Test(screen, keeps_every_attribute_and_colour)
{
	struct screen *screen = make(4, 40);

	say(screen, ESC "[1ma" ESC "[2mb" ESC "[22;3mc" ESC "[5md" ESC "[7me" ESC "[8mf" ESC
			"[9mg" ESC "[53mh" ESC "[0mi\r\n");
	say(screen, ESC "[4ma" ESC "[21mb" ESC "[4:3mc" ESC "[4:4md" ESC "[4:5me" ESC
			"[58;5;9mf" ESC "[58:2::1:2:3mg" ESC "[24;59mh\r\n");
	say(screen,
	    ESC "[31ma" ESC "[97mb" ESC "[38;5;200mc" ESC "[38;2;1;2;3md" ESC "[38:2::4:5:6me" ESC
		"[39mf" ESC "[42mg" ESC "[103mh" ESC "[48;5;17mi" ESC "[48:2:7:8:9mj" ESC "[49mk");
	cr_assert_eq(cell_at(screen, 0, 1).pen.attributes, SCREEN_PEN_BOLD | SCREEN_PEN_DIM);
	cr_assert_eq(cell_at(screen, 0, 2).pen.attributes, SCREEN_PEN_ITALIC);
	cr_assert_eq(cell_at(screen, 0, 7).pen.attributes,
		     SCREEN_PEN_ITALIC | SCREEN_PEN_BLINK | SCREEN_PEN_REVERSE | SCREEN_PEN_HIDDEN |
			 SCREEN_PEN_STRIKE | SCREEN_PEN_OVERLINE);
	cr_assert_eq(cell_at(screen, 0, 8).pen.attributes, 0);
	cr_assert_eq(cell_at(screen, 1, 1).pen.underline, 2);
	cr_assert_eq(cell_at(screen, 1, 2).pen.underline, 3);
	cr_assert_eq(cell_at(screen, 1, 5).pen.under, SCREEN_PEN_INDEXED | 9);
	cr_assert_eq(cell_at(screen, 1, 6).pen.under, SCREEN_PEN_RGB | 0x010203);
	cr_assert_eq(cell_at(screen, 1, 7).pen.underline, 0);
	cr_assert_eq(cell_at(screen, 2, 0).pen.fg, SCREEN_PEN_INDEXED | 1);
	cr_assert_eq(cell_at(screen, 2, 1).pen.fg, SCREEN_PEN_INDEXED | 15);
	cr_assert_eq(cell_at(screen, 2, 2).pen.fg, SCREEN_PEN_INDEXED | 200);
	cr_assert_eq(cell_at(screen, 2, 3).pen.fg, SCREEN_PEN_RGB | 0x010203);
	cr_assert_eq(cell_at(screen, 2, 4).pen.fg, SCREEN_PEN_RGB | 0x040506);
	cr_assert_eq(cell_at(screen, 2, 5).pen.fg, 0);
	cr_assert_eq(cell_at(screen, 2, 7).pen.bg, SCREEN_PEN_INDEXED | 11);
	cr_assert_eq(cell_at(screen, 2, 9).pen.bg, SCREEN_PEN_RGB | 0x070809);
	cr_assert_eq(cell_at(screen, 2, 10).pen.bg, 0);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, erases_in_the_colour_of_the_background)
{
	struct screen *screen = make(4, 10);

	say(screen, "aaaaaaaaaa\r\nbbbb" ESC "[44m" ESC "[K\r\n" ESC "[J" ESC "[0mcc" ESC
		    "[1;3H" ESC "[41m" ESC "[3X");
	cr_assert_eq(cell_at(screen, 0, 2).pen.bg, SCREEN_PEN_INDEXED | 1);
	cr_assert_eq(cell_at(screen, 0, 5).pen.bg, 0);
	cr_assert_eq(cell_at(screen, 1, 9).pen.bg, SCREEN_PEN_INDEXED | 4);
	cr_assert_eq(cell_at(screen, 2, 1).pen.bg, 0);
	cr_assert_eq(cell_at(screen, 3, 9).pen.bg, SCREEN_PEN_INDEXED | 4);
	expect_text(screen, 0, "aa   aaaaa\nbbbb\ncc\n\n");
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, keeps_the_last_column_of_a_line_that_had_been_erased_in_a_colour)
{
	struct screen *screen = make(2, 4);

	say(screen, ESC "[44m" ESC "[2K" ESC "[mabcd" ESC "[H");
	expect_text(screen, 0, "abcd\n\n");
	expect_redraw(screen);
	screen_free(screen);
}

/* --- screens and history ----------------------------------------------------------------------
 */

Test(screen, keeps_the_main_screen_behind_the_alternate_one)
{
	struct screen *screen = make(3, 20);

	say(screen, "main" ESC "[31m" ESC "[?1049h" ESC "[H" ESC "[44malternate" ESC "[2;5H");
	cr_assert(info_of(screen).alternate);
	expect_text(screen, 0, "alternate\n\n\n");
	expect_redraw(screen);

	struct screen *other = screen_compare_redrawn(screen);

	say(other, ESC "[?1049l!");
	expect_text(other, 0, "main!\n\n\n");
	cr_assert_eq(cell_at(other, 0, 4).pen.fg, SCREEN_PEN_INDEXED | 1);
	cr_assert_eq(cell_at(other, 0, 4).pen.bg, 0);
	screen_free(other);
	screen_free(screen);
}

Test(screen, keeps_lines_that_leave_the_top)
{
	struct screen *screen = make(3, 20);

	for (int i = 0; i < 10; i++) {
		char text[40];

		snprintf(text, sizeof(text), ESC "[3%dmline %d" ESC "[0m\r\n", i % 8, i);
		say(screen, text);
	}
	cr_assert_eq(info_of(screen).n_history, 8);
	expect_text(screen, 2, "line 6\nline 7\nline 8\nline 9\n\n");
	expect_redraw(screen);
	say(screen, ESC "[3J");
	cr_assert_eq(info_of(screen).n_history, 0);
	screen_free(screen);
}

Test(screen, keeps_nothing_of_what_scrolls_on_the_alternate_screen_or_in_a_region)
{
	struct screen *screen = make(4, 20);

	say(screen, "top" ESC "[?1049h" ESC "[4;1H\n\n\n" ESC "[?1049l");
	cr_assert_eq(info_of(screen).n_history, 0);
	say(screen, ESC "[2;3r" ESC "[3;1Hx\n\n\n\n");
	cr_assert_eq(info_of(screen).n_history, 0);
	say(screen, ESC "[r" ESC "[1;1H" ESC "[2M");
	cr_assert_eq(info_of(screen).n_history, 0);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, keeps_ten_thousand_lines)
{
	struct screen *screen = make(24, 80);
	struct buffer out = {0};
	char text[40];

	for (int i = 0; i < 12000; i++) {
		snprintf(text, sizeof(text), "line %d\r\n", i);
		say(screen, text);
	}
	cr_assert_eq(info_of(screen).n_history, SCREEN_HISTORY_LINES);
	cr_assert_eq(screen_text(screen, SCREEN_HISTORY_LINES, &out), 0);
	cr_assert_eq(memcmp(out.data, "line 1977\n", 10), 0);
	buffer_deinit(&out);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, keeps_lines_above_within_a_bound_of_bytes)
{
	struct screen *screen = make(2, 2000);
	char line[60];
	unsigned n;

	for (int i = 0; i < 3000; i++) {
		for (int j = 0; j < 400; j++) {
			snprintf(line, sizeof(line), ESC "[38;2;%d;%d;7mx", j % 255, i % 255);
			say(screen, line);
		}
		say(screen, "\r\n");
	}
	n = info_of(screen).n_history;
	cr_assert(n > 100 && n < 3000, "%u", n);
	cr_assert_leq(screen->history.n_bytes, SCREEN_HISTORY_BYTES);
	screen_free(screen);
}

/* --- sizes ------------------------------------------------------------------------------------
 */

Test(screen, gives_lines_to_the_history_and_takes_them_back_with_its_size)
{
	struct screen *screen = make(5, 20);

	say(screen, "a\r\nb\r\nc\r\n" ESC "[1md\r\ne");
	cr_assert_eq(screen_resize(screen, 2, 20), 0);
	expect_text(screen, 3, "a\nb\nc\nd\ne\n");
	cr_assert_eq(info_of(screen).cursor_row, 1);
	expect_redraw(screen);
	cr_assert_eq(screen_resize(screen, 4, 30), 0);
	expect_text(screen, 1, "a\nb\nc\nd\ne\n");
	cr_assert_eq(info_of(screen).cursor_row, 3);
	cr_assert_eq(cell_at(screen, 2, 0).pen.attributes, SCREEN_PEN_BOLD);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, keeps_the_main_screen_whole_when_the_size_changes_behind_the_alternate_one)
{
	struct screen *screen = make(4, 20);

	say(screen, "a\r\nb\r\nc\r\nd" ESC "[?1049hx");
	cr_assert_eq(screen_resize(screen, 2, 10), 0);
	cr_assert_eq(screen_resize(screen, 6, 40), 0);
	expect_redraw(screen);
	say(screen, ESC "[?1049l!");
	expect_text(screen, 0, "a\nb\nc\nd!\n\n\n");
	screen_free(screen);
}

Test(screen, loses_no_character_when_the_size_changes_at_a_full_line)
{
	struct screen *screen = make(3, 4);

	say(screen, "abcd");
	cr_assert_eq(screen_resize(screen, 4, 4), 0);
	expect_redraw(screen);
	cr_assert_eq(screen_resize(screen, 4, 6), 0);
	say(screen, "e");
	expect_text(screen, 0, "abcde\n\n\n\n");
	screen_free(screen);
}

Test(screen, bounds_its_size)
{
	struct screen *screen = make(0, 0);

	cr_assert_eq(info_of(screen).rows, 1);
	cr_assert_eq(info_of(screen).cols, 1);
	say(screen, "a\xe6\x97\xa5");
	expect_redraw(screen);
	cr_assert_eq(screen_resize(screen, 100000, 100000), 0);
	cr_assert_leq(info_of(screen).rows * info_of(screen).cols, SCREEN_CELLS_MAX);
	screen_free(screen);
}

Test(screen, stands_a_storm_of_sizes)
{
	struct screen *screen = make(24, 80);

	srand(1);
	for (int i = 0; i < 20000; i++) {
		cr_assert_eq(screen_resize(screen, rand() % 300, rand() % 300), 0);
		say(screen, ESC "[5;9rsome text\r\nwhich\ncomes" ESC "[99;99Hx" ESC "[?6h\n");
	}
	expect_redraw(screen);
	screen_free(screen);
}

/* --- the rest ---------------------------------------------------------------------------------
 */

Test(screen, brings_all_modes_back)
{
	struct screen *screen = make(10, 40);

	say(screen, ESC "[?1h" ESC "=" ESC "[?2004h" ESC "[?1000;1006h" ESC "[?1004h" ESC
			"[?25l" ESC "[5 q" ESC "[>4;2m" ESC "[4h" ESC "[20h");
	cr_assert_not(info_of(screen).cursor_visible);
	expect_redraw(screen);
	say(screen, ESC "[?7l" ESC "[3;7r" ESC "[?6h" ESC "[2;5H");
	cr_assert_eq(info_of(screen).cursor_row, 3);
	expect_redraw(screen);
	say(screen, ESC "[3g" ESC "[2;14H" ESC "H" ESC "[2;3H");
	expect_redraw(screen);
	say(screen, ESC "[!p");
	expect_redraw(screen);
	say(screen, ESC "c");
	cr_assert(info_of(screen).cursor_visible);
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, brings_saved_cursors_back)
{
	struct screen *screen = make(10, 40);

	say(screen, ESC "[4;5H" ESC "[35m" ESC "(0" ESC "7" ESC "[m" ESC "(B" ESC "[H");
	expect_redraw(screen);
	say(screen, ESC "8x");
	cr_assert_eq(cell_at(screen, 3, 4).character, 0x2502);
	say(screen, ESC "[?1049h" ESC "[6;7H" ESC "[s" ESC "[H");
	expect_redraw(screen);
	say(screen, ESC "[ux");
	cr_assert_eq(cell_at(screen, 5, 6).character, 0x2502);
	screen_free(screen);
}

Test(screen, keeps_titles_without_what_could_do_harm)
{
	struct screen *screen = make(2, 20);
	char title[5000];

	say(screen, ESC "]0;first\a" ESC "[22;0t" ESC "]2;se\xc2\x9c"
			"cond\x01\xc3\xa9" ESC "\\");
	cr_assert_str_eq(info_of(screen).title, "second\xc3\xa9");
	expect_redraw(screen);
	say(screen, ESC "[23;0t");
	cr_assert_str_eq(info_of(screen).title, "first");
	memset(title, 0xc3, sizeof(title));
	for (size_t i = 1; i < sizeof(title); i += 2)
		title[i] = (char)0xa9;
	say(screen, ESC "]2;x");
	cr_assert_eq(screen_write(screen, title, sizeof(title)), 0);
	say(screen, "\adone");
	cr_assert_eq(strlen(info_of(screen).title), SCREEN_TITLE_MAX - 1);
	expect_text(screen, 0, "done\n\n");
	expect_redraw(screen);
	for (int i = 0; i < 100; i++)
		say(screen, ESC "[22t");
	cr_assert_eq(screen->n_titles, SCREEN_TITLES_MAX);
	screen_free(screen);
}

Test(screen, answers_queries_once)
{
	struct screen *screen = make(10, 40);

	say(screen,
	    ESC "[3;7H" ESC "[6n" ESC "[5n" ESC "[c" ESC "[?2004h" ESC "[?2004$p" ESC "[?9999$p");
	expect_answers(screen,
		       ESC "[3;7R" ESC "[0n" ESC "[?1;2c" ESC "[?2004;1$y" ESC "[?9999;0$y");
	expect_answers(screen, "");
	for (int i = 0; i < 10000; i++)
		say(screen, ESC "[6n");
	cr_assert_leq(screen->answers.size, SCREEN_ANSWERS_MAX);
	cr_assert_eq(screen_take_answers(screen, NULL), 0);
	expect_answers(screen, "");
	screen_free(screen);
}

Test(screen, passes_over_what_it_does_not_know)
{
	struct screen *screen = make(2, 20);

	say(screen, "a" ESC "P1;2|dcs" ESC "\\b" ESC "_apc" ESC "\\c" ESC "]52;c;eA==\a"
		    "d" ESC "[?9999h" ESC "[1;2;3;4;5z" ESC "[=1;2x" ESC "%Ge" ESC "kname" ESC
		    "\\f" ESC "[12\030g");
	expect_text(screen, 0, "abcdefg\n\n");
	screen_free(screen);
}

Test(screen, stands_parameters_without_measure)
{
	struct screen *screen = make(24, 80);
	const char *finals = "@ABCDEFGHIJKLMPSTXZ`abcdefghjklmnrstuq";

	for (const char *final = finals; *final; final++) {
		char text[300] = ESC "[99999999999999999999";

		for (int i = 0; i < 60; i++)
			strcat(text, ";77");
		text[strlen(text)] = *final; /* what follows is zero */
		say(screen, text);
		snprintf(text, sizeof(text), "x" ESC "[4294967295;4294967295%c", *final);
		say(screen, text);
	}
	expect_redraw(screen);
	screen_free(screen);
}

Test(screen, stands_random_bytes)
{
	struct screen *screen = make(24, 80);
	static char data[1 << 20];

	srand(7);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = rand() % 4 == 0 ? "\033[;?0123456789hlmHJKr]\a"[rand() % 23] : rand();
	cr_assert_eq(screen_write(screen, data, sizeof(data)), 0);
	say(screen, "\030" ESC "\\.");
	expect_redraw(screen);
	screen_free(screen);
}
