/* Keys in the order of their bytes. */
#include <errno.h>
#include <string.h>

#include "daemon/kv/kv_sql_private.h"
#include "daemon/store_thread.h"

static bool is_less(struct bytes a, struct bytes b)
{
	size_t n = a.size < b.size ? a.size : b.size;
	int r = n > 0 ? memcmp(a.data, b.data, n) : 0;

	return r ? r < 0 : a.size < b.size;
}

/* One lower bound only: of two, SQLite would take one, and look at all keys up to the other. */
int kv_sql_list(struct kv_sql *sql, struct bytes prefix, struct bytes after, int64_t now_ns)
{
	uint8_t end[OPS_KV_KEY_MAX + 1];
	int r;
	sqlite3_stmt *statement = kv_sql_take(sql, KV_SQL_LIST, &r);

	if (!statement)
		return r;
	if (prefix.size > 0)
		memcpy(end, prefix.data, prefix.size);
	end[prefix.size] = 0xff; /* no UTF-8 has it: behind all that begin so */
	kv_sql_bind_bytes(statement, 1, is_less(after, prefix) ? prefix : after);
	sqlite3_bind_blob(statement, 2, end, (int)prefix.size + 1, SQLITE_TRANSIENT);
	kv_sql_bind_bytes(statement, 3, after);
	sqlite3_bind_int64(statement, 4, now_ns);
	return 0;
}

int kv_sql_list_next(struct kv_sql *sql, struct kv_meta *ret_meta)
{
	int r = sqlite3_step(sql->statements[KV_SQL_LIST]);

	if (r == SQLITE_ROW)
		return kv_sql_read_meta(sql->statements[KV_SQL_LIST], ret_meta);
	return r == SQLITE_DONE ? -ENOENT : store_thread_errno(r);
}

void kv_sql_list_end(struct kv_sql *sql)
{
	sqlite3_reset(sql->statements[KV_SQL_LIST]);
	sqlite3_clear_bindings(sql->statements[KV_SQL_LIST]);
}
