#include "daemon/discovery/discovery_table.h"

#include <errno.h>
#include <string.h>

static struct discovery_row *find_row(struct discovery_table *table, const char *id)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (strcmp(table->rows[i].service.id, id) == 0)
			return &table->rows[i];
	return NULL;
}

static struct discovery_row *find_origin(struct discovery_table *table, unsigned origin,
					 size_t *ret_slot)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		struct discovery_row *row = &table->rows[i];
		for (size_t slot = 0; slot < row->service.n_addresses; slot++) {
			if (row->origins[slot] == origin) {
				*ret_slot = slot;
				return row;
			}
		}
	}
	return NULL;
}

/* The row of that id, or a free one with the id in it; NULL if there is none. */
static struct discovery_row *claim_row(struct discovery_table *table, const char *id)
{
	struct discovery_row *row = find_row(table, id);
	if (row == NULL)
		row = find_row(table, "");
	if (row == NULL && table->n_rows < DISCOVERY_SERVICES_MAX)
		row = &table->rows[table->n_rows++];
	if (row != NULL)
		memcpy(row->service.id, id, sizeof(row->service.id));
	return row;
}

static void free_row(struct discovery_row *row)
{
	memset(row, 0, sizeof(*row));
}

static void remove_slot(struct discovery_row *row, size_t slot)
{
	struct discovery_service *service = &row->service;
	size_t n_behind = --service->n_addresses - slot;

	memmove(&service->addresses[slot], &service->addresses[slot + 1],
		n_behind * sizeof(service->addresses[0]));
	memmove(&row->origins[slot], &row->origins[slot + 1], n_behind * sizeof(row->origins[0]));
	row->changed = true;
	if (service->n_addresses == 0 && !row->told)
		free_row(row);
}

static bool same_words(const struct discovery_service *a, const struct discovery_service *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->version, b->version) == 0 &&
	       strcmp(a->caps, b->caps) == 0;
}

int discovery_table_put(struct discovery_table *table, unsigned origin,
			const struct discovery_service *service)
{
	size_t slot;
	struct discovery_row *row = find_origin(table, origin, &slot);

	if (row != NULL && strcmp(row->service.id, service->id) != 0) {
		remove_slot(row, slot);
		row = NULL;
	}
	if (row == NULL) {
		row = claim_row(table, service->id);
		if (row == NULL || row->service.n_addresses == DISCOVERY_ADDRESSES_MAX)
			return -ENOSPC;
		slot = row->service.n_addresses++;
		row->origins[slot] = origin;
	} else if (same_words(&row->service, service) &&
		   discovery_service_address_equal(&row->service.addresses[slot],
						   &service->addresses[0])) {
		return 0;
	}
	row->service.addresses[slot] = service->addresses[0];
	memcpy(row->service.name, service->name, sizeof(service->name));
	memcpy(row->service.version, service->version, sizeof(service->version));
	memcpy(row->service.caps, service->caps, sizeof(service->caps));
	row->changed = true;
	return 0;
}

void discovery_table_remove(struct discovery_table *table, unsigned origin)
{
	size_t slot;
	struct discovery_row *row = find_origin(table, origin, &slot);

	if (row != NULL)
		remove_slot(row, slot);
}

void discovery_table_clear(struct discovery_table *table)
{
	for (size_t i = 0; i < table->n_rows; i++)
		while (table->rows[i].service.n_addresses > 0)
			remove_slot(&table->rows[i], 0);
}

bool discovery_table_get(const struct discovery_table *table, size_t i,
			 struct discovery_service *ret)
{
	const struct discovery_service *service = &table->rows[i].service;
	if (service->n_addresses == 0)
		return false;

	*ret = *service;
	ret->n_addresses = 0;
	for (size_t slot = 0; slot < service->n_addresses; slot++) {
		bool seen = false;
		for (size_t j = 0; j < ret->n_addresses && !seen; j++)
			seen = discovery_service_address_equal(&ret->addresses[j],
							       &service->addresses[slot]);
		if (!seen)
			ret->addresses[ret->n_addresses++] = service->addresses[slot];
	}
	return true;
}

enum discovery_change discovery_table_take(struct discovery_table *table,
					   struct discovery_service *ret)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		struct discovery_row *row = &table->rows[i];
		if (!row->changed)
			continue;
		row->changed = false;
		if (discovery_table_get(table, i, ret)) {
			row->told = true;
			return DISCOVERY_CHANGE_FOUND;
		}
		*ret = row->service;
		free_row(row);
		return DISCOVERY_CHANGE_GONE;
	}
	return DISCOVERY_CHANGE_NONE;
}
