/* SPDX-License-Identifier: MIT
 *
 * The results as a picture: horizontal bars, their values written beside them, in SVG.
 */
#include <math.h>

#include "base/macro.h"
#include "bench/report.h"

#define WIDTH 880
#define LABEL_WIDTH 330
#define VALUE_WIDTH 90
#define BAR_HEIGHT 16
#define ROW_HEIGHT 24
#define PANEL_HEAD 46
#define MARGIN 20
#define ROWS_MAX 64

struct row {
	char label[96];
	double value;
	double mark; /* a line across the row: what is to be reached; 0: none */
	bool good;
	char text[32];
};

struct panel {
	const char *title;
	const char *about;
	struct row rows[ROWS_MAX];
	size_t n_rows;
	bool logarithmic;
};

/* Texts come from our own tables, but may hold characters that XML escapes. */
static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			(void)fputs("&lt;", out);
		else if (*text == '>')
			(void)fputs("&gt;", out);
		else if (*text == '&')
			(void)fputs("&amp;", out);
		else
			(void)fputc(*text, out);
	}
}

static void print_text(FILE *out, double x, double y, const char *attributes, const char *text)
{
	(void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
	print_escaped(out, text);
	(void)fprintf(out, "</text>\n");
}

/* Where a value lies on the panel's axis, from 0 to 1. */
static double place_on_axis(const struct panel *panel, double value, double smallest, double largest)
{
	if (value <= 0 || largest <= 0)
		return 0;
	if (!panel->logarithmic)
		return value / largest;
	/* The axis begins at half of the smallest value, so that it has a bar, too. */
	return log(value / (smallest / 2)) / log(largest / (smallest / 2));
}

static double print_panel(FILE *out, const struct panel *panel, double y)
{
	const double room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - 2 * MARGIN;
	double smallest = 0, largest = 0;

	for (size_t i = 0; i < panel->n_rows; i++) {
		const struct row *row = &panel->rows[i];

		largest = fmax(largest, fmax(row->value, row->mark));
		if (row->value > 0 && (smallest <= 0 || row->value < smallest))
			smallest = row->value;
	}

	print_text(out, MARGIN, y + 16, "font-size=\"15\" font-weight=\"bold\"", panel->title);
	print_text(out, MARGIN, y + 33, "font-size=\"11\" fill=\"#666\"", panel->about);
	y += PANEL_HEAD;
	for (size_t i = 0; i < panel->n_rows; i++) {
		const struct row *row = &panel->rows[i];
		double length = room * place_on_axis(panel, row->value, smallest, largest);
		double mark = LABEL_WIDTH + room * place_on_axis(panel, row->mark, smallest, largest);

		print_text(out, LABEL_WIDTH - 8, y + BAR_HEIGHT - 4, "text-anchor=\"end\"", row->label);
		(void)fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
			      LABEL_WIDTH, y, length, BAR_HEIGHT, row->good ? "#3b7dd8" : "#d8703b");
		if (row->mark > 0)
			(void)fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#111\" "
				      "stroke-width=\"2\"/>\n", mark, mark, y - 3, y + BAR_HEIGHT + 3);
		print_text(out, fmax(LABEL_WIDTH + length, row->mark > 0 ? mark : 0) + 6, y + BAR_HEIGHT - 4, "",
			   row->text);
		y += ROW_HEIGHT;
	}
	return y + MARGIN;
}

static struct row *panel_add(struct panel *panel, const char *label, double value)
{
	struct row *row = &panel->rows[panel->n_rows++];

	*row = (struct row){ .value = value, .good = true };
	(void)snprintf(row->label, sizeof(row->label), "%s", label);
	return row;
}

static void add_ratios(const struct report *report, struct panel *panel)
{
	for (size_t i = 0; i < report->n_results && panel->n_rows < ROWS_MAX; i++) {
		const struct result *result = &report->results[i];
		struct row *row;

		/* Only ratios to the bare system calls, of which more is better. */
		if (result->error < 0 || result->bench->kind != CASE_RATE || result->bench->other.streams > 0)
			continue;
		row = panel_add(panel, result->bench->title, result->ratio);
		row->mark = result->bench->reach;
		row->good = result->reached;
		(void)snprintf(row->text, sizeof(row->text), "%.2f", result->ratio);
	}
}

static void add_transports(const struct report *report, struct panel *latency, struct panel *throughput)
{
	for (size_t i = 0; i < report->n_transports && latency->n_rows < ROWS_MAX; i++) {
		const struct transport_result *result = &report->transports[i];
		struct row *row;

		if (result->error < 0)
			continue;
		row = panel_add(latency, result->transport->title, (double)result->p50 / 1000);
		(void)snprintf(row->text, sizeof(row->text), "%.1f \xc2\xb5s", row->value);
		row = panel_add(throughput, result->transport->title, result->bytes / 1073741824.0);
		(void)snprintf(row->text, sizeof(row->text), "%.2f GiB/s", row->value);
	}
}

int report_plot(const struct report *report, const char *path)
{
	static struct panel panels[3];
	_cleanup_(cleanup_file) FILE *out = fopen(path, "we");
	double height = MARGIN, y = MARGIN;

	if (!out)
		return -errno;
	panels[0] = (struct panel){
		.title = "Latency between two processes: 64 bytes there and back",
		.about = "median; less is better",
	};
	panels[1] = (struct panel){
		.title = "Throughput between two processes: 64 KiB after 64 KiB",
		.about = "one way; more is better",
	};
	panels[2] = (struct panel){
		.title = "porterd's rate to that of the bare system calls",
		.about = "median of interleaved rounds; more is better; a black line marks what is to be reached",
	};
	add_transports(report, &panels[0], &panels[1]);
	add_ratios(report, &panels[2]);

	for (size_t i = 0; i < ELEMENTSOF(panels); i++)
		if (panels[i].n_rows > 0)
			height += PANEL_HEAD + (double)panels[i].n_rows * ROW_HEIGHT + MARGIN;
	(void)fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
		      "height=\"%.0f\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#111\">\n"
		      "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		      WIDTH, height, WIDTH, height);
	for (size_t i = 0; i < ELEMENTSOF(panels); i++)
		if (panels[i].n_rows > 0)
			y = print_panel(out, &panels[i], y);
	(void)fprintf(out, "</svg>\n");
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
