#include "tests/unit/msg/msg_fake.h"

#include "daemon/permissions.h"
#include "tests/unit/daemon/loop_until.h"
#include "tests/unit/proto/through_codec.h"

/* --- request.h -------------------------------------------------------------------------------- */

static struct msg_fake_call *call_of(const void *request)
{
	return (struct msg_fake_call *)request;
}

uint16_t request_permissions(const struct request *request)
{
	return UINT16_MAX;
}

bool request_is_orphan(const struct request *request)
{
	return false;
}

/* A session is the machine that asks; one without a name is the own user. */
bool session_is_local(const struct session *session)
{
	return ((const struct msg_fake_machine *)session)->name == NULL;
}

const void *session_peer(const struct session *session)
{
	return session;
}

static void answer(struct msg_fake_call *call, const void *result)
{
	cr_assert(!call->is_done, "answered twice");
	call->result = through_codec(call->request.op->result, result, &call->answer);
	call->is_done = true;
	/* What handlers may not use any more. */
	memset(call->args, 0xdd, call->request.op->args->size);
	memset(call->encoded.data, 0xdd, call->encoded.size);
}

void request_reply(struct request *request, const void *result, void (*release)(void *arg),
		   void *release_arg)
{
	answer(call_of(request), result);
	if (release)
		release(release_arg);
}

void request_fail(struct request *request, int error)
{
	cr_assert(!call_of(request)->is_done, "answered twice");
	cr_assert_lt(error, 0);
	call_of(request)->error = error;
	call_of(request)->is_done = true;
}

struct request_stream *request_reply_stream(struct request *request, const void *result,
					    void (*ready)(void *arg, int error), void *arg)
{
	struct msg_fake_call *call = call_of(request);

	answer(call, result);
	call->is_streaming = true;
	call->ready = ready;
	call->ready_arg = arg;
	return (struct request_stream *)call;
}

size_t request_stream_room(const struct request_stream *stream)
{
	return 1024 * 1024;
}

size_t request_stream_unused(const struct request_stream *stream)
{
	return 0;
}

int request_stream_write(struct request_stream *stream, unsigned channel, struct bytes data)
{
	return buffer_append(&call_of(stream)->stream, data.data, data.size);
}

int request_stream_lend(struct request_stream *stream, unsigned channel, struct bytes data,
			void (*release)(void *arg), void *release_arg)
{
	int r = request_stream_write(stream, channel, data);

	if (r == 0)
		release(release_arg);
	return r;
}

void request_stream_end(struct request_stream *stream, int error)
{
	call_of(stream)->is_streaming = false;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* The args go through the codec, as on the wire. */
static struct msg_fake_call *start(struct msg_fake_machine *machine, void *state, uint16_t op,
				   const void *args)
{
	struct msg_fake_call *call = calloc(1, sizeof(*call));

	call->request.op = op_find(&ops_peer, op);
	cr_assert_not_null(call->request.op);
	call->args = through_codec(call->request.op->args, args, &call->encoded);
	call->request.args = call->args;
	call->machine = machine;
	call->is_told = true;
	call->next = machine->fake->calls;
	machine->fake->calls = call;
	machine->service->handle(machine->service->arg, state, &call->request);
	return call;
}

struct msg_fake_call *msg_fake_start(struct msg_fake_machine *machine, uint16_t op,
				     const void *args)
{
	return start(machine, machine->own, op, args);
}

struct msg_fake_call *msg_fake_start_peer(struct msg_fake_machine *machine, uint16_t op,
					  const void *args)
{
	return start(machine, machine->peers, op, args);
}

int msg_fake_wait(struct msg_fake_call *call)
{
	msg_fake_until(call->machine->fake, call->is_done);
	return call->error;
}

int msg_fake_ask(struct msg_fake_machine *machine, uint16_t op, const void *args,
		 const void **ret_result)
{
	struct msg_fake_call *call = msg_fake_start(machine, op, args);
	int error = msg_fake_wait(call);

	if (error == 0 && ret_result)
		*ret_result = call->result;
	return error;
}

/* --- the link --------------------------------------------------------------------------------- */

static int link_call(struct transport *transport, uint16_t op, const void *args,
		     const struct caller *caller, const struct transport_handler *handler,
		     void *arg, void (*payload_done)(void *arg), struct transport_call **ret_call)
{
	struct msg_fake_machine *machine = (struct msg_fake_machine *)transport;
	struct msg_fake_call *call;

	if (!machine->fake->is_up)
		return -EHOSTDOWN;
	machine->fake->n_delivers += op == OP_MSG_DELIVER;
	call = msg_fake_start_peer(machine, op, args);
	call->handler = handler;
	call->handler_arg = arg;
	call->is_told = false;
	*ret_call = (struct transport_call *)call;
	return 0;
}

static void link_abandon(struct transport_call *call)
{
	((struct msg_fake_call *)call)->is_told = true;
}

static enum transport_state link_state(struct transport *transport)
{
	return ((struct msg_fake_machine *)transport)->fake->is_up ? TRANSPORT_UP : TRANSPORT_DOWN;
}

static const struct transport_ops link_ops = {
    .call = link_call,
    .abandon = link_abandon,
    .state = link_state,
};

static void tell(struct msg_fake_call *call, int error)
{
	struct transport_reply reply = {.error = error, .result = error ? NULL : call->result};

	call->is_told = true;
	call->handler->reply(call->handler_arg, &reply);
}

static void tell_answers(struct msg_fake *fake)
{
	for (struct msg_fake_call *call = fake->calls; call; call = call->next) {
		if (call->is_told || !call->is_done)
			continue;
		if (fake->lose > 0) {
			fake->lose--;
			msg_fake_cut(fake);
			msg_fake_mend(fake);
			return;
		}
		tell(call, call->error);
		return; /* the list may be another one now */
	}
}

void msg_fake_cut(struct msg_fake *fake)
{
	struct msg_fake_call *call;

	fake->is_up = false;
	do {
		for (call = fake->calls; call && call->is_told; call = call->next)
			;
		if (call)
			tell(call, -ENOTCONN);
	} while (call);
}

void msg_fake_mend(struct msg_fake *fake)
{
	fake->is_up = true;
	msg_peer_changed(fake->lap.msg, fake->desk.id);
	msg_peer_changed(fake->desk.msg, fake->lap.id);
}

/* --- the machines ----------------------------------------------------------------------------- */

static const char *find_peer(void *arg, const char *name)
{
	const struct msg_fake_machine *other = ((struct msg_fake_machine *)arg)->other;

	return strcmp(name, other->name) == 0 ? other->id : NULL;
}

static const char *peer_name(void *arg, const char *id)
{
	const struct msg_fake_machine *other = ((struct msg_fake_machine *)arg)->other;

	return strcmp(id, other->id) == 0 ? other->name : NULL;
}

static bool is_refused(void *arg, const char *id)
{
	return ((struct msg_fake_machine *)arg)->other->refuses;
}

static void identify(void *arg, const struct session *session, char ret_id[IDENTITY_ID_SIZE])
{
	strcpy(ret_id, ((const struct msg_fake_machine *)session)->id);
}

static void told(void *arg, const struct msg_told *told)
{
	((struct msg_fake_machine *)arg)->n_told++;
}

static struct store_peer make_peer(const struct msg_fake_machine *machine)
{
	struct store_peer peer = {.permissions = PERMISSIONS_DEFAULT, .state = STORE_PEER_PAIRED};

	memset(peer.fingerprint, machine->name[0], sizeof(peer.fingerprint));
	identity_fingerprint_id(peer.fingerprint, peer.id);
	strcpy(peer.name, machine->name);
	return peer;
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void set_done(void *arg, int status)
{
	cr_assert_eq(status, 0);
	*(bool *)arg = true;
}

void msg_fake_pair(struct msg_fake_machine *machine)
{
	struct store_peer peer = make_peer(machine->other);
	bool is_done = false;

	cr_assert_eq(store_put_peer(machine->store, &peer, set_done, &is_done), 0);
	msg_fake_until(machine->fake, is_done);
	cr_assert_eq(msg_peer_add(machine->msg, machine->other->id, &machine->other->transport), 0);
}

void msg_fake_unpair(struct msg_fake_machine *machine)
{
	bool is_done = false;

	msg_peer_remove(machine->msg, machine->other->id);
	cr_assert_eq(store_remove_peer(machine->store, machine->other->id, set_done, &is_done), 0);
	msg_fake_until(machine->fake, is_done);
}

static void open_machine(struct msg_fake_machine *machine)
{
	static const struct msg_fake_machine own;
	struct failure failure = {""};

	cr_assert_eq(store_open(&machine->fake->loop, machine->path, &machine->store, &failure), 0,
		     "%s", failure.text);
	machine->options.thread = store_get_thread(machine->store);
	machine->options.reader = store_get_reader(machine->store);
	cr_assert_eq(msg_new(&machine->options, &machine->msg), 0);
	machine->service = msg_service(machine->msg);
	cr_assert_eq(machine->service->session_open(machine->service->arg, (struct session *)&own,
						    &machine->own),
		     0);
	cr_assert_eq(machine->service->session_open(
			 machine->service->arg, (struct session *)machine->other, &machine->peers),
		     0);
}

static void end_streams(struct msg_fake_machine *machine)
{
	for (struct msg_fake_call *call = machine->fake->calls; call; call = call->next) {
		if (call->machine != machine || !call->is_streaming)
			continue;
		call->is_streaming = false;
		call->ready(call->ready_arg, -ENOTCONN);
	}
}

static void close_machine(struct msg_fake_machine *machine)
{
	bool is_closed = false;

	msg_peer_remove(machine->msg, machine->other->id);
	end_streams(machine);
	machine->service->session_close(machine->service->arg, machine->own);
	machine->service->session_close(machine->service->arg, machine->peers);
	msg_close(machine->msg, set_true, &is_closed);
	msg_fake_until(machine->fake, is_closed);
	is_closed = false;
	store_close(machine->store, set_true, &is_closed);
	msg_fake_until(machine->fake, is_closed);
}

static void init_machine(struct msg_fake *fake, struct msg_fake_machine *machine,
			 struct msg_fake_machine *other, const char *name, const char *dir,
			 const struct msg_options *options)
{
	uint8_t fingerprint[IDENTITY_FINGERPRINT_SIZE];

	*machine = (struct msg_fake_machine){
	    .transport = {&link_ops}, .fake = fake, .other = other, .name = name};
	if (options)
		machine->options = *options;
	machine->options.loop = &fake->loop;
	if (!machine->options.max_messages)
		machine->options.max_messages = 1000000;
	if (!machine->options.max_bytes)
		machine->options.max_bytes = 1 << 30;
	if (!machine->options.ttl_ms)
		machine->options.ttl_ms = 7 * 24 * 3600 * 1000;
	machine->options.keep_ms = 7 * 24 * 3600 * 1000;
	machine->options.own_name = name;
	machine->options.find_peer = find_peer;
	machine->options.peer_name = peer_name;
	machine->options.is_refused = is_refused;
	machine->options.identify = identify;
	machine->options.told = told;
	machine->options.arg = machine;
	snprintf(machine->path, sizeof(machine->path), "%s/%s.db", dir, name);
	memset(fingerprint, name[0], sizeof(fingerprint));
	identity_fingerprint_id(fingerprint, machine->id);
}

void msg_fake_init_in(struct msg_fake *fake, const char *dir, const struct msg_options *options)
{
	*fake = (struct msg_fake){.is_up = true};
	cr_assert_eq(uv_loop_init(&fake->loop), 0);
	init_machine(fake, &fake->lap, &fake->desk, "lap", dir, options);
	init_machine(fake, &fake->desk, &fake->lap, "desk", dir, options);

	open_machine(&fake->lap);
	open_machine(&fake->desk);
	msg_fake_pair(&fake->lap);
	msg_fake_pair(&fake->desk);
}

void msg_fake_restart(struct msg_fake *fake, struct msg_fake_machine *machine)
{
	bool was_up = fake->is_up;

	msg_fake_cut(fake);
	close_machine(machine);
	open_machine(machine);
	cr_assert_eq(msg_peer_add(machine->msg, machine->other->id, &machine->other->transport), 0);
	if (was_up)
		msg_fake_mend(fake);
}

void msg_fake_deinit(struct msg_fake *fake)
{
	struct msg_fake_call *next;

	msg_fake_cut(fake);
	close_machine(&fake->lap);
	close_machine(&fake->desk);
	while (uv_loop_close(&fake->loop) == UV_EBUSY)
		uv_run(&fake->loop, UV_RUN_ONCE);
	for (struct msg_fake_call *call = fake->calls; call; call = next) {
		next = call->next;
		cr_assert(call->is_done, "%s was never answered", call->request.op->name);
		free(call->args);
		free(call->result);
		buffer_deinit(&call->encoded);
		buffer_deinit(&call->answer);
		buffer_deinit(&call->stream);
		free(call);
	}
}

void msg_fake_turn(struct msg_fake *fake, uint64_t deadline, const char *what)
{
	loop_turn(&fake->loop, deadline, what);
	tell_answers(fake);
}

/* --- messages --------------------------------------------------------------------------------- */

static char *some_text(void)
{
	static char texts[16][65536];
	static unsigned next;

	return texts[next++ % 16];
}

const char *msg_fake_send(struct msg_fake_machine *machine, const char *body)
{
	struct args_msg_send args = {.peer = bytes_of_text(machine->other->name),
				     .body = bytes_of_text(body)};
	const struct result_msg_send *result = NULL;
	struct msg_sent sent;
	char *text = some_text();
	struct list list;

	cr_assert_eq(msg_fake_ask(machine, OP_MSG_SEND, &args, (const void **)&result), 0);
	cr_assert_eq(result->sent.n, 1);
	list = result->sent;
	cr_assert_eq(codec_list_next(&list, &msg_sent_record, &sent, NULL), 0);
	snprintf(text, 65536, "%.*s", (int)sent.id.size, (const char *)sent.id.data);
	return text;
}

const char *msg_fake_bodies(struct msg_fake_machine *machine, enum msg_box box)
{
	struct args_msg_list args = {.box = box, .bodies = true, .limit = OPS_MSG_PAGE_MAX};
	const struct result_msg_list *result = NULL;
	char *text = some_text();
	size_t size = 0;

	text[0] = '\0';
	do {
		struct msg_info info;
		struct list list;

		cr_assert_eq(msg_fake_ask(machine, OP_MSG_LIST, &args, (const void **)&result), 0);
		for (list = result->messages; list.n > 0; args.after = info.number) {
			cr_assert_eq(codec_list_next(&list, &msg_info_record, &info, NULL), 0);
			cr_assert_gt(info.number, args.after);
			cr_assert(info.has_body);
			size += (size_t)snprintf(text + size, 65536 - size, "%.*s,",
						 (int)info.body.size, (const char *)info.body.data);
			cr_assert_lt(size, 65536);
		}
	} while (result->rest);
	return text;
}

const char *msg_fake_state(struct msg_fake_machine *machine, const char *id)
{
	struct args_msg_status args = {.id = bytes_of_text(id)};
	const struct result_msg_status *result = NULL;

	if (msg_fake_ask(machine, OP_MSG_STATUS, &args, (const void **)&result) < 0)
		return "none";
	return ops_msg_state_name(result->info.state);
}

int msg_fake_ack(struct msg_fake_machine *machine, const char *id)
{
	struct msg_id element = {.id = bytes_of_text(id)};
	struct buffer elements = {0};
	struct args_msg_ack args = {0};
	int r;

	cr_assert_eq(codec_list_append(&args.ids, &elements, &msg_id_record, &element), 0);
	codec_list_finish(&args.ids, &elements);
	r = msg_fake_ask(machine, OP_MSG_ACK, &args, NULL);
	buffer_deinit(&elements);
	return r;
}
