# Rules are separate resources, because some groups refer to each other. Every machine may use HTTPS (packages, Object
# Storage, Lockbox) and HTTP (Debian's mirrors) to anywhere; no other port is open to the inside than those listed here.

locals {
  groups = {
    mlflow   = "The MLflow server"
    database = "PostgreSQL"
    steps    = "Where steps run: the host, and the machines of a Data Processing or Managed Spark cluster"
    airflow  = "Managed Airflow; its groups filter only outgoing traffic"
  }

  # to: the group that is called; group, cidr: where calls may come from.
  ingress = merge(
    {
      mlflow_from_steps    = { to = "mlflow", port = 443, group = "steps" }
      mlflow_from_airflow  = { to = "mlflow", port = 443, cidr = local.airflow_cidr }
      database_from_mlflow = { to = "database", port = 6432, group = "mlflow" }
      steps_from_airflow   = { to = "steps", port = 22, cidr = local.airflow_cidr }
    },
    var.admin == null ? {} : {
      steps_from_admin      = { to = "steps", port = 22, cidr = var.admin.cidr }
      mlflow_ssh_from_steps = { to = "mlflow", port = 22, group = "steps" } # for the administrator's tunnel
    },
  )

  airflow_cidr  = yandex_vpc_subnet.airflow.v4_cidr_blocks[0]
  machines_cidr = yandex_vpc_subnet.machines.v4_cidr_blocks[0]

  # from: the group that calls; cidr: where its calls may go.
  egress = merge(
    {
      for name in ["mlflow", "steps", "airflow"] :
      "${name}_https" => { from = name, protocol = "TCP", port = 443, cidr = "0.0.0.0/0" }
    },
    {
      for name in ["mlflow", "steps"] :
      "${name}_http" => { from = name, protocol = "TCP", port = 80, cidr = "0.0.0.0/0" }
    },
    {
      for name in ["mlflow", "steps"] :
      "${name}_time" => { from = name, protocol = "UDP", port = 123, cidr = "0.0.0.0/0" }
    },
    {
      for name in ["mlflow", "steps", "airflow"] :
      "${name}_names" => { from = name, protocol = "UDP", port = 53, cidr = var.network_cidr }
    },
    var.admin == null ? {} : {
      steps_ssh = { from = "steps", protocol = "TCP", port = 22, cidr = local.machines_cidr }
    },
    {
      mlflow_database = { from = "mlflow", protocol = "TCP", port = 6432, cidr = local.machines_cidr }
      airflow_ssh     = { from = "airflow", protocol = "TCP", port = 22, cidr = local.machines_cidr }
    },
  )
}

resource "yandex_vpc_security_group" "this" {
  for_each = local.groups

  name        = "${var.name}-${each.key}"
  description = each.value
  network_id  = yandex_vpc_network.this.id
  labels      = var.labels
}

resource "yandex_vpc_security_group_rule" "in" {
  for_each = local.ingress

  security_group_binding = yandex_vpc_security_group.this[each.value.to].id
  direction              = "ingress"
  description            = replace(each.key, "_", " ")
  protocol               = "TCP"
  port                   = each.value.port
  security_group_id      = try(yandex_vpc_security_group.this[each.value.group].id, null)
  v4_cidr_blocks         = try([each.value.cidr], null)
}

resource "yandex_vpc_security_group_rule" "out" {
  for_each = local.egress

  security_group_binding = yandex_vpc_security_group.this[each.value.from].id
  direction              = "egress"
  description            = replace(each.key, "_", " ")
  protocol               = each.value.protocol
  port                   = each.value.port
  v4_cidr_blocks         = [each.value.cidr]
}

# Spark and Hadoop choose the ports on which the machines of a cluster talk to each other.
resource "yandex_vpc_security_group_rule" "cluster" {
  for_each = var.spark == "host" ? toset([]) : toset(["ingress", "egress"])

  security_group_binding = yandex_vpc_security_group.this["steps"].id
  direction              = each.key
  description            = "within the cluster"
  protocol               = "ANY"
  from_port              = 0
  to_port                = 65535
  predefined_target      = "self_security_group"
}
