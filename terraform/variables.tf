variable "cloud_id" {
  description = "Id of the cloud (`yc config list`)."
  type        = string
}

variable "folder_id" {
  description = "Id of a folder that holds nothing else: some roles are given for the whole folder."
  type        = string
}

variable "name" {
  description = "Prefix of all names, short. Buckets take it too, and theirs are unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,28}[a-z0-9]$", var.name))
    error_message = "name: 4 to 30 lower-case letters, digits and hyphens; it begins with a letter and ends without a hyphen."
  }
}

variable "zone" {
  description = "Availability zone of everything."
  type        = string
  default     = "ru-central1-a"

  validation {
    condition     = can(regex("^ru-central1-[abd]$", var.zone))
    error_message = "zone: ru-central1-a, ru-central1-b or ru-central1-d."
  }
}

variable "network_cidr" {
  description = "Addresses of the network, a /16; two /24 of it are used."
  type        = string
  default     = "10.10.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.network_cidr)) && endswith(var.network_cidr, "/16")
    error_message = "network_cidr: an IPv4 network that ends with /16."
  }

  # Managed Airflow refuses any subnet of the network that overlaps the addresses of its own service.
  validation {
    condition     = !can(regex("^10\\.(24[89]|25[0-5])\\.", var.network_cidr))
    error_message = "network_cidr: 10.248.0.0/13 is taken by Managed Airflow."
  }
}

variable "admin" {
  description = <<-EOT
    The administrator's network and public SSH key. If given, the host of the steps gets the only public address here,
    with SSH open to that network alone; the way to the MLflow UI is a tunnel through it. If null, there is no public
    address, and you reach the network by your own VPN.
  EOT
  type        = object({ cidr = string, ssh_public_key = string })
  default     = null

  validation {
    condition     = var.admin == null || try(cidrnetmask(var.admin.cidr) != "" && tonumber(split("/", var.admin.cidr)[1]) >= 16, false)
    error_message = "admin.cidr: an IPv4 network of at most a /16, as 203.0.113.7/32; never 0.0.0.0/0."
  }

  validation {
    condition     = var.admin == null || try(can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256) [A-Za-z0-9+/=]+", var.admin.ssh_public_key)), false)
    error_message = "admin.ssh_public_key: one line as in ~/.ssh/id_ed25519.pub."
  }
}

variable "spark" {
  description = <<-EOT
    Where Spark runs. `host`: on the host of the steps. `dataproc`: on a permanent Data Processing cluster, steps on its
    master. `transient`: on one that the DAG makes and deletes. `managed`: a Managed Spark cluster for jobs that you
    submit yourself; the DAGs use the host.
  EOT
  type        = string
  default     = "host"

  validation {
    condition     = contains(["host", "dataproc", "transient", "managed"], var.spark)
    error_message = "spark: host, dataproc, transient or managed."
  }
}

variable "project" {
  description = "Git URL of the project, with an optional full commit; null is the copy that sync.py sends."
  type        = object({ url = string, commit = optional(string, "") })
  default     = null

  validation {
    condition     = var.project == null || try(can(regex("^(|[0-9a-f]{40})$", var.project.commit)), false)
    error_message = "project.commit: empty, or all 40 hexadecimal digits (MLflow fetches no abbreviated commit)."
  }

  validation {
    condition     = var.project == null || try(startswith(var.project.url, "https://"), false)
    error_message = "project.url: https://...; the machines may speak nothing else to the outside."
  }
}

variable "raw_data" {
  description = "Folder of raw files in the bucket `data`: what `retraining_input` names."
  type        = string
  default     = "raw/fraud"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.raw_data))
    error_message = "raw_data: a path without a slash at either end, as raw/fraud."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete databases, clusters, keys and secrets. Set it to false, and apply, before a destroy."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of everything that can have some."
  type        = map(string)
  default     = { project = "retraining" }
}

# Passwords and keys: ./new-secrets > secrets.auto.tfvars.json makes both variables.

variable "secrets" {
  description = "Passwords and private keys, made by ./new-secrets."
  sensitive   = true
  type = object({
    postgresql_password    = string
    mlflow_admin_password  = string
    mlflow_password        = string
    mlflow_session_key     = string
    airflow_admin_password = string
    ssh_private_key        = string
    ssh_host_private_key   = string
    tls_private_key        = string
  })

  validation {
    condition = alltrue([
      for name in ["postgresql_password", "mlflow_admin_password", "mlflow_password", "mlflow_session_key"] :
      can(regex("^[A-Za-z0-9_-]{20,}$", var.secrets[name]))
    ])
    error_message = "secrets: passwords have at least 20 letters, digits, hyphens and underscores."
  }

  validation {
    condition = alltrue([
      for kind in ["[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]", ".{12}"] : can(regex(kind, var.secrets.airflow_admin_password))
    ])
    error_message = "secrets.airflow_admin_password: at least 12 characters, among them a small and a capital letter, a digit and a sign."
  }

  # The example is enough for a plan, and for no more.
  validation {
    condition     = !(terraform.applying && strcontains(jsonencode(var.secrets), "example"))
    error_message = "secrets: still those of the example; run ./new-secrets > secrets.auto.tfvars.json."
  }
}

variable "public_keys" {
  description = "The public halves, made by ./new-secrets: SSH client and host, certificate of MLflow and of who signed it."
  type = object({
    ssh             = string
    ssh_host        = string
    tls_certificate = string
    tls_authority   = string
  })
}

# Sizes, small enough to try it out. What to consider: README.md, "What it costs".

variable "host_size" {
  description = "The machine where steps run; with `spark = \"host\"` Spark runs there too. Memory and disk in GB."
  type = object({
    cores       = optional(number, 4)
    memory      = optional(number, 16)
    disk        = optional(number, 60)
    preemptible = optional(bool, false)
  })
  default = {}

  validation {
    condition     = contains([2, 4, 6, 8, 12, 16, 24, 32], var.host_size.cores) && var.host_size.memory >= 4 && var.host_size.disk >= 20
    error_message = "host_size: cores 2, 4, 6, 8, 12, 16, 24 or 32; memory at least 4; disk at least 20."
  }
}

variable "mlflow_size" {
  description = "The machine of the MLflow server. Memory and disk in GB."
  type = object({
    cores  = optional(number, 2)
    memory = optional(number, 4)
    disk   = optional(number, 20)
  })
  default = {}

  validation {
    condition     = contains([2, 4, 8], var.mlflow_size.cores) && var.mlflow_size.memory >= 2 && var.mlflow_size.disk >= 15
    error_message = "mlflow_size: cores 2, 4 or 8; memory at least 2; disk at least 15."
  }
}

variable "postgresql" {
  description = "The database of runs and models. One host is no high availability: take two or three in production."
  type = object({
    version = optional(string, "17")
    preset  = optional(string, "c3-c2-m4")
    disk    = optional(number, 20)
    hosts   = optional(number, 1)
    backups = optional(number, 14)
  })
  default = {}

  validation {
    condition     = contains(["14", "15", "16", "17", "18"], var.postgresql.version)
    error_message = "postgresql.version: 14 to 18."
  }

  validation {
    condition     = contains([1, 2, 3], var.postgresql.hosts) && var.postgresql.disk >= 10 && var.postgresql.backups >= 7 && var.postgresql.backups <= 60
    error_message = "postgresql: hosts 1 to 3, disk at least 10 GB, backups kept 7 to 60 days."
  }
}

variable "airflow" {
  description = "Versions and sizes of Managed Airflow. Which versions are offered changes: the console lists them."
  type = object({
    version = optional(string, "3.2")
    python  = optional(string, "3.12")
    preset  = optional(string, "c1-m4")
    workers = optional(number, 2)
  })
  default = {}

  validation {
    condition     = can(regex("^3\\.([2-9]|[1-9][0-9]+)$", var.airflow.version))
    error_message = "airflow.version: 3.2 or a newer 3.x; the DAGs need it."
  }

  validation {
    condition     = can(regex("^c[1-8]-m[0-9]+$", var.airflow.preset)) && var.airflow.workers >= 1 && var.airflow.workers <= 8
    error_message = "airflow: preset c1-m2 to c8-m32, workers 1 to 8."
  }
}

variable "dataproc" {
  description = "Data Processing, if `spark` is `dataproc` or `transient`; `master_host` is for the permanent one (README.md)."
  type = object({
    image         = optional(string, "2.1")
    master_preset = optional(string, "s3-c4-m16")
    worker_preset = optional(string, "s3-c4-m16")
    workers       = optional(number, 2)
    disk          = optional(number, 60)
    master_host   = optional(string, "")
  })
  default = {}

  validation {
    condition     = can(regex("^2\\.[0-9]+(\\.[0-9]+)?$", var.dataproc.image)) && var.dataproc.workers >= 1 && var.dataproc.disk >= 40
    error_message = "dataproc: image 2.x, at least one worker, disks of at least 40 GB."
  }

  # Executors are sized by it.
  validation {
    condition     = can(regex("^[a-z0-9]+-c[0-9]+-m[0-9]+$", var.dataproc.worker_preset))
    error_message = "dataproc.worker_preset: as s3-c4-m16, with its cores and memory in the name."
  }
}

variable "managed_spark" {
  description = "Managed Spark, if `spark` is `managed`: version and sizes of drivers and executors."
  type = object({
    version       = optional(string, "3.5")
    preset        = optional(string, "c4-m16")
    max_executors = optional(number, 4)
  })
  default = {}

  validation {
    condition     = var.managed_spark.max_executors >= 1
    error_message = "managed_spark.max_executors: at least 1."
  }
}
