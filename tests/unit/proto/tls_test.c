#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/tls.h"
#include "tests/unit/proto/tls_ends.h"

static void check_hello(struct end *from, struct end *to, size_t step)
{
	char got[16];

	cr_assert_eq(tls_read(to->tls, got, sizeof(got)), -EAGAIN);
	cr_assert_eq(tls_write(from->tls, &(struct iovec){(char *)"hello", 5}, 1), 0);
	size_t n = 0;
	while (move(from->tls, to->tls, step)) {
		ssize_t r = tls_read(to->tls, got + n, sizeof(got) - n);
		cr_assert(r > 0 || r == -EAGAIN);
		n += r > 0 ? (size_t)r : 0;
	}
	cr_assert_eq(n, 5);
	cr_assert_arr_eq(got, "hello", 5);
}

static void both_ways(unsigned int protocol, size_t step)
{
	struct end client, server;
	uint8_t exported[2][TLS_EXPORT_SIZE], other[TLS_EXPORT_SIZE];

	end_init(&client, TLS_CLIENT, protocol);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK | TLS_PROTOCOL_PAIR);
	client.judge.pinned = server.identity;
	server.judge.pinned = client.identity;
	cr_assert_eq(tls_export(client.tls, "EXPORTER-a", other), -ENOTCONN);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){(char *)"x", 1}, 1), -EAGAIN);
	cr_assert_eq(tls_protocol(client.tls), TLS_PROTOCOL_NONE);
	cr_assert_null(tls_peer_fingerprint(client.tls));
	run_handshake(&client, &server, step);
	cr_assert_eq(client.result, 0, "%s", tls_error(client.tls));
	cr_assert_eq(server.result, 0, "%s", tls_error(server.tls));
	cr_assert_eq(client.judge.asked, 1);
	cr_assert_eq(server.judge.asked, 1);
	cr_assert_eq(client.judge.protocol, protocol);
	cr_assert_eq(server.judge.protocol, protocol);
	cr_assert_eq(tls_protocol(client.tls), protocol);
	cr_assert_eq(tls_protocol(server.tls), protocol);
	cr_assert_arr_eq(tls_peer_fingerprint(client.tls), server.identity->fingerprint,
			 IDENTITY_FINGERPRINT_SIZE);
	cr_assert_arr_eq(tls_peer_spki(server.tls), client.identity->spki, IDENTITY_SPKI_SIZE);
	check_hello(&client, &server, step);
	check_hello(&server, &client, step);
	cr_assert_eq(tls_export(client.tls, "EXPORTER-a", exported[0]), 0);
	cr_assert_eq(tls_export(server.tls, "EXPORTER-a", exported[1]), 0);
	cr_assert_eq(tls_export(server.tls, "EXPORTER-b", other), 0);
	cr_assert_arr_eq(exported[0], exported[1], TLS_EXPORT_SIZE);
	cr_assert_neq(memcmp(exported[0], other, TLS_EXPORT_SIZE), 0);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, link_is_made_both_ways)
{
	both_ways(TLS_PROTOCOL_LINK, SIZE_MAX);
}

Test(tls, pairing_is_made_both_ways)
{
	both_ways(TLS_PROTOCOL_PAIR, SIZE_MAX);
}

Test(tls, works_byte_by_byte)
{
	both_ways(TLS_PROTOCOL_LINK, 1);
}

Test(tls, unpinned_client_is_refused_within_the_handshake)
{
	struct end client, server;
	char byte;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	server.judge.pinned = server.identity; /* anyone but the client */
	run_handshake(&client, &server, SIZE_MAX);
	cr_assert_eq(server.result, -EKEYREJECTED);
	cr_assert_null(tls_peer_fingerprint(server.tls));
	cr_assert_eq(tls_read(server.tls, &byte, 1), -EKEYREJECTED);
	cr_assert_eq(tls_write(server.tls, &(struct iovec){&byte, 1}, 1), -EKEYREJECTED);
	cr_assert_eq(tls_read(client.tls, &byte, 1), -EACCES, "%s", tls_error(client.tls));
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, unpinned_server_is_refused_before_the_client_shows_its_key)
{
	struct end client, server;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	client.judge.pinned = client.identity;
	run_handshake(&client, &server, SIZE_MAX);
	cr_assert_eq(client.result, -EKEYREJECTED);
	cr_assert_eq(server.result, -EACCES, "%s", tls_error(server.tls));
	cr_assert_eq(server.judge.asked, 0);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, other_protocol_is_refused)
{
	struct end client, server;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_PAIR);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	run_handshake(&client, &server, SIZE_MAX);
	cr_assert_eq(server.result, -EPROTONOSUPPORT);
	cr_assert_eq(client.result, -EPROTONOSUPPORT, "%s", tls_error(client.tls));
	cr_assert_eq(server.judge.asked + client.judge.asked, 0);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, client_names_exactly_one_protocol)
{
	struct end end;
	struct tls *tls = NULL;

	end_init(&end, TLS_CLIENT, TLS_PROTOCOL_LINK);
	cr_assert_eq(tls_new(&tls, end.context, TLS_CLIENT, TLS_PROTOCOL_LINK | TLS_PROTOCOL_PAIR,
			     verify, NULL),
		     -EINVAL);
	cr_assert_eq(tls_new(&tls, end.context, TLS_CLIENT, 0, verify, NULL), -EINVAL);
	cr_assert_null(tls);
	end_deinit(&end);
}

Test(tls, handshake_over_8_kib_is_refused)
{
	struct end client, server;
	/* a ClientHello that goes on and on: record header, handshake header, zeros */
	uint8_t data[20000] = {22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3};
	size_t fed = 0;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	do {
		ssize_t n = tls_receive(server.tls, data + fed, 1000);
		cr_assert(n >= 0);
		fed += (size_t)n;
		server.result = tls_handshake(server.tls);
	} while (server.result == -EAGAIN && fed < 19000);
	cr_assert_eq(server.result, -EMSGSIZE);
	cr_assert_leq(fed, TLS_HANDSHAKE_MAX + 1000);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, what_is_not_tls_is_refused)
{
	static const char *const noise[] = {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
					    "SSH-2.0-OpenSSH_9.2\r\n", "\377\377\377\377\377\377"};

	for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
		struct end server;
		end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
		tls_receive(server.tls, noise[i], strlen(noise[i]));
		cr_assert_eq(tls_handshake(server.tls), -EPROTO);
		cr_assert_eq(tls_handshake(server.tls), -EPROTO);
		end_deinit(&server);
	}
}

Test(tls, close_notify_is_the_end)
{
	struct end client, server;
	char byte = 0;

	connect_ends(&client, &server);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){(char *)"bye", 3}, 1), 0);
	cr_assert_eq(tls_close(client.tls), 0);
	cr_assert_eq(tls_close(client.tls), 0);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){&byte, 1}, 1), -EPIPE);
	while (move(client.tls, server.tls, SIZE_MAX))
		;
	tls_receive_end(server.tls);
	char got[8];
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), 3);
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), 0);
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), 0);
	/* the other direction is still open */
	cr_assert_eq(tls_write(server.tls, &(struct iovec){(char *)"too", 3}, 1), 0);
	while (move(server.tls, client.tls, SIZE_MAX))
		;
	cr_assert_eq(tls_read(client.tls, got, sizeof(got)), 3);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, truncated_stream_is_an_error)
{
	struct end client, server;
	uint8_t data[100];
	char got[64];

	connect_ends(&client, &server);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){(char *)"one", 3}, 1), 0);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){(char *)"two", 3}, 1), 0);
	size_t n = take(client.tls, data, sizeof(data));
	cr_assert_eq(tls_receive(server.tls, data, n - 1), (ssize_t)n - 1);
	tls_receive_end(server.tls);
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), 3);
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), -ECONNRESET);
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), -ECONNRESET);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, truncated_handshake_is_an_error)
{
	struct end client, server;

	end_init(&client, TLS_CLIENT, TLS_PROTOCOL_LINK);
	end_init(&server, TLS_SERVER, TLS_PROTOCOL_LINK);
	cr_assert_eq(tls_handshake(client.tls), -EAGAIN);
	move(client.tls, server.tls, 100);
	cr_assert_eq(tls_handshake(server.tls), -EAGAIN);
	tls_receive_end(server.tls);
	cr_assert_eq(tls_handshake(server.tls), -ECONNRESET);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, changed_byte_is_an_error)
{
	struct end client, server;
	uint8_t data[100];
	char got[64];

	connect_ends(&client, &server);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){(char *)"one", 3}, 1), 0);
	size_t n = take(client.tls, data, sizeof(data));
	data[n - 1] ^= 1;
	tls_receive(server.tls, data, n);
	cr_assert_eq(tls_read(server.tls, got, sizeof(got)), -EPROTO);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, header_and_payload_fill_whole_records)
{
	struct end client, server;
	static uint8_t payload[131072];
	uint8_t header[20] = {0};
	struct iovec parts[] = {{header, sizeof(header)}, {payload, sizeof(payload)}}, out[8];

	connect_ends(&client, &server);
	cr_assert_eq(tls_write(client.tls, parts, 2), 0);
	/* 9 records of 5 bytes header, 1 byte type, 16 bytes tag */
	cr_assert_eq(tls_output_size(client.tls), sizeof(header) + sizeof(payload) + 9 * 22);
	size_t total = 0, n = tls_output(client.tls, out, 8);
	for (size_t i = 0; i < n; i++)
		total += out[i].iov_len;
	cr_assert_eq(total, tls_output_size(client.tls));
	cr_assert_eq(tls_output(client.tls, out, 2), 2);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, output_stays_in_place_while_more_is_written)
{
	struct end client, server;
	static uint8_t payload[131072];
	uint8_t before[64];
	struct iovec part;

	connect_ends(&client, &server);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){(char *)"first", 5}, 1), 0);
	cr_assert_eq(tls_output(client.tls, &part, 1), 1);
	size_t size = part.iov_len;
	cr_assert_leq(size, sizeof(before));
	memcpy(before, part.iov_base, size);
	const void *place = part.iov_base;
	cr_assert_eq(tls_write(client.tls, &(struct iovec){payload, sizeof(payload)}, 1), 0);
	cr_assert_eq(tls_output(client.tls, &part, 1), 1);
	cr_assert_eq(part.iov_base, place);
	cr_assert_arr_eq(part.iov_base, before, size);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, output_is_bounded)
{
	struct end client, server;
	static uint8_t payload[TLS_WRITE_MAX + 1];
	int r, n = 0;

	connect_ends(&client, &server);
	cr_assert_eq(tls_write(client.tls, &(struct iovec){payload, sizeof(payload)}, 1),
		     -EMSGSIZE);
	while ((r = tls_write(client.tls, &(struct iovec){payload, 100000}, 1)) == 0)
		cr_assert_lt(++n, 10);
	cr_assert_eq(r, -EAGAIN);
	cr_assert_eq(n, 3);
	end_deinit(&client);
	end_deinit(&server);
}

Test(tls, input_is_bounded)
{
	struct end client, server;
	static uint8_t payload[200000];
	size_t held = 0;

	connect_ends(&client, &server);
	for (bool full = false; !full;) {
		cr_assert_eq(tls_write(client.tls, &(struct iovec){payload, sizeof(payload)}, 1),
			     0);
		struct iovec part;
		while (!full && tls_output(client.tls, &part, 1) == 1) {
			ssize_t n = tls_receive(server.tls, part.iov_base, part.iov_len);
			cr_assert_geq(n, 0);
			held += (size_t)n;
			full = (size_t)n < part.iov_len;
			tls_output_consume(client.tls, part.iov_len);
		}
		cr_assert_leq(held, TLS_INPUT_SIZE);
	}
	cr_assert_eq(held, TLS_INPUT_SIZE);
	end_deinit(&client);
	end_deinit(&server);
}

static void fill(uint8_t *data, size_t size, uint64_t at)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t x = (at + i) * 0x9e3779b97f4a7c15u;
		memcpy(data + i, &x, 8);
	}
}

Test(tls, hundred_mebibytes_arrive_equal)
{
	enum { TOTAL = 100 << 20, PIECE = 131072 };
	struct end client, server;
	static uint8_t sent[PIECE], got[PIECE], expected[PIECE];
	uint8_t header[24] = {0};
	size_t received = 0, in_piece = 0, need = sizeof(header) + PIECE;
	static uint8_t piece[sizeof(header) + PIECE];

	connect_ends(&client, &server);
	for (size_t offset = 0; offset < TOTAL; offset += PIECE) {
		fill(sent, PIECE, offset);
		memcpy(header, &offset, sizeof(offset));
		struct iovec parts[] = {{header, sizeof(header)}, {sent, PIECE}}, out;
		cr_assert_eq(tls_write(client.tls, parts, 2), 0);
		while (tls_output(client.tls, &out, 1) == 1) {
			void *space;
			size_t room;
			cr_assert_eq(tls_receive_space(server.tls, &space, &room), 0);
			cr_assert_gt(room, 0);
			if (room > out.iov_len)
				room = out.iov_len;
			memcpy(space, out.iov_base, room);
			tls_receive_commit(server.tls, room);
			tls_output_consume(client.tls, room);
			ssize_t n;
			while ((n = tls_read(server.tls, piece + in_piece, need - in_piece)) > 0) {
				in_piece += (size_t)n;
				if (in_piece < need)
					continue;
				size_t claimed;
				memcpy(&claimed, piece, sizeof(claimed));
				cr_assert_eq(claimed, received);
				fill(expected, PIECE, received);
				memcpy(got, piece + sizeof(header), PIECE);
				cr_assert_eq(memcmp(got, expected, PIECE), 0);
				received += PIECE;
				in_piece = 0;
			}
			cr_assert_eq(n, -EAGAIN);
		}
	}
	cr_assert_eq(received, TOTAL);
	end_deinit(&client);
	end_deinit(&server);
}
