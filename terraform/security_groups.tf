# Who may call whom. Rules are resources of their own, since some groups name each other. Outwards every machine may
# speak HTTPS (packages, Object Storage, Lockbox) and HTTP to Debian's mirrors; inwards nothing is open but what is here.

locals {
  groups = {
    mlflow   = "The MLflow server"
    database = "PostgreSQL"
    steps    = "Where steps run: the host, and the machines of a Data Processing or Managed Spark cluster"
    airflow  = "Managed Airflow, of which groups filter only what goes out"
  }

  # to: who is called; from: a group or a network.
  calls = merge(
    {
      mlflow_from_steps    = { to = "mlflow", port = 443, group = "steps" }
      mlflow_from_airflow  = { to = "mlflow", port = 443, cidr = local.airflow_cidr }
      database_from_mlflow = { to = "database", port = 6432, group = "mlflow" }
      steps_from_airflow   = { to = "steps", port = 22, cidr = local.airflow_cidr }
    },
    var.admin == null ? {} : {
      steps_from_admin      = { to = "steps", port = 22, cidr = var.admin.cidr }
      mlflow_ssh_from_steps = { to = "mlflow", port = 22, group = "steps" } # the way of the administrator
    },
  )

  airflow_cidr  = yandex_vpc_subnet.airflow.v4_cidr_blocks[0]
  machines_cidr = yandex_vpc_subnet.machines.v4_cidr_blocks[0]

  # from: who calls; the other end is in the network of the machines, or anywhere.
  ways_out = merge(
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
  for_each = local.calls

  security_group_binding = yandex_vpc_security_group.this[each.value.to].id
  direction              = "ingress"
  description            = replace(each.key, "_", " ")
  protocol               = "TCP"
  port                   = each.value.port
  security_group_id      = try(yandex_vpc_security_group.this[each.value.group].id, null)
  v4_cidr_blocks         = try([each.value.cidr], null)
}

resource "yandex_vpc_security_group_rule" "out" {
  for_each = local.ways_out

  security_group_binding = yandex_vpc_security_group.this[each.value.from].id
  direction              = "egress"
  description            = replace(each.key, "_", " ")
  protocol               = each.value.protocol
  port                   = each.value.port
  v4_cidr_blocks         = [each.value.cidr]
}

# The machines of a Spark cluster talk to each other on ports that Spark and Hadoop choose.
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
