/* SPDX-License-Identifier: MIT
 *
 * Requests: packets as porterd must not send them, and those that did not arrive as a whole.
 */
#include "request_fixture.h"

/* What porterd must not send. The packet is a good one but for this. */
static void spoil(int how)
{
	switch (how) {
	case 0:
		packet.header.version = 0;
		break;
	case 1:
		packet.header.version = 2;
		break;
	case 2:
		packet.header.operation = 0;
		break;
	case 3:
		packet.header.operation = 4;
		break;
	case 4:
		packet.header.operation = UINT32_MAX;
		break;
	case 5:
		packet.header.count = 0;
		break;
	case 6:
		packet.header.cursor = 1;
		break;
	case 7:
		memset(packet.labels[0], 'x', OPENER_LABEL_SIZE);
		break;
	case 8:
		packet.labels[0][OPENER_LABEL_SIZE - 1] = 'x';
		break;
	case 9:
		packet.labels[0][4] = 'x';
		break;
	case 10:
		packet.header.operation = OPENER_CHECK;
		packet.header.count = 2;
		break;
	case 11:
		packet.header.operation = OPENER_LIST;
		break;
	default:
		ck_abort();
	}
}

START_TEST(spoilt_packets)
{
	load_three();
	start(OPENER_OPEN);
	add("one");
	spoil(_i);
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), accepted), OPENER_BAD_REQUEST);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	ck_assert_uint_gt(response.header.text_size, 0);
	ck_assert_str_eq(record(), "");
	ck_assert_uint_eq(service.refused, 0);
}
END_TEST

START_TEST(spoilt_sizes)
{
	ssize_t whole;

	load_three();
	start(OPENER_OPEN);
	add("one");
	whole = (ssize_t)packet_size();
	for (ssize_t size = 0; size < (ssize_t)sizeof(packet); size++) {
		enum opener_result result = serve_with(size, accepted);

		ck_assert_int_eq(result, size == whole ? OPENER_OK : OPENER_BAD_REQUEST);
		ck_assert_uint_eq(response.header.serial,
				  size < (ssize_t)sizeof(packet.header) ? 0 : packet.header.serial);
	}
}
END_TEST

/* Its sender waits for the serial. */
START_TEST(lost_packets)
{
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with(-EMFILE, -1), OPENER_BUSY);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	ck_assert_uint_eq(response.header.operation, OPENER_OPEN);
	ck_assert_int_eq(serve_with(-EBADMSG, -1), OPENER_BAD_REQUEST);
	ck_assert_uint_eq(response.header.serial, packet.header.serial);
	packet.header.version = 0;
	ck_assert_int_eq(serve_with(-EMFILE, -1), OPENER_BUSY);
	ck_assert_uint_eq(response.header.serial, 0);
	ck_assert_str_eq(record(), "");
}
END_TEST

START_TEST(wrong_number_of_fds)
{
	static struct request request;
	struct fdset fds;

	load_three();
	start(OPENER_OPEN);
	add("one");
	ck_assert_int_eq(serve_with((ssize_t)packet_size(), -1), OPENER_BAD_REQUEST);
	fdset_init(&fds);
	(void)fdset_add(&fds, dup(accepted));
	(void)fdset_add(&fds, dup(accepted));
	request_serve(&request, &service, &packet, (ssize_t)packet_size(), &fds, &response);
	request_finish(&request);
	ck_assert_uint_eq(fds.count, 0);
	ck_assert_int_eq(response.header.result, OPENER_BAD_REQUEST);
	ck_assert_str_eq(record(), "");
}
END_TEST

int main(void)
{
	const struct unit_test tests[] = {
		UNIT_LOOP(spoilt_packets, 12),
		UNIT_TEST(spoilt_sizes),
		UNIT_TEST(lost_packets),
		UNIT_TEST(wrong_number_of_fds),
		{ 0 },
	};

	fixture_need_openat2();
	return unit_run("request packets", tests, &(struct unit_around){ request_setup, request_teardown, 60 });
}
